// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/proto/nearest_name.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>

namespace lockstep::proto {
namespace {

// Nobody mistypes a longer name as a whole; it keeps the table on the stack.
constexpr size_t kMaxBytes = 64;

char Folded(char c) {
  return c == '_' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
}

// Restricted Damerau-Levenshtein distance.
size_t Distance(std::string_view a, std::string_view b) {
  std::array<std::array<size_t, kMaxBytes + 1>, 3> rows;
  for (size_t j = 0; j <= b.size(); ++j) rows[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    auto& row = rows[i % 3];
    const auto& above = rows[(i + 2) % 3];
    const auto& above_that = rows[(i + 1) % 3];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const bool same = Folded(a[i - 1]) == Folded(b[j - 1]);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (same ? 0 : 1)});
      const bool swapped = i > 1 && j > 1 && Folded(a[i - 1]) == Folded(b[j - 2]) &&
                           Folded(a[i - 2]) == Folded(b[j - 1]);
      if (swapped) row[j] = std::min(row[j], above_that[j - 2] + 1);
    }
  }
  return rows[a.size() % 3][b.size()];
}

}  // namespace

std::optional<std::string_view> NearestName(std::string_view given,
                                            const std::vector<std::string_view>& names) {
  if (given.empty() || given.size() > kMaxBytes) return std::nullopt;
  std::optional<std::string_view> nearest;
  size_t best = (given.size() + 2) / 3 + 1;  // one more than is allowed
  for (const std::string_view name : names) {
    if (name.size() > kMaxBytes) continue;
    const size_t distance = Distance(given, name);
    if (distance < best) {
      best = distance;
      nearest = name;
    }
  }
  return nearest;
}

}  // namespace lockstep::proto
