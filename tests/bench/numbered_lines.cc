// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/bench/numbered_lines.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string_view>

#include "tests/bench/rank_program.h"

namespace lockstep::bench {
namespace {

/// The number of a rank's line without its newline; nothing when it is not whole.
std::optional<int64_t> NumberOf(std::string_view line) {
  if (line.size() != BENCH_LINE_BYTES - 1 || line[BENCH_LINE_DIGITS] != ' ') return std::nullopt;
  const std::string_view digits = line.substr(0, BENCH_LINE_DIGITS);
  if (digits.find_first_not_of("0123456789") != digits.npos) return std::nullopt;
  if (line.find_first_not_of('x', BENCH_LINE_DIGITS + 1) != line.npos) return std::nullopt;
  return std::stoll(std::string(digits));
}

}  // namespace

Arrived CheckLines(const std::string& path) {
  std::ifstream file(path);
  std::map<std::string, int64_t, std::less<>> next;
  Arrived arrived;
  for (std::string line; std::getline(file, line);) {
    const size_t size = std::min(line.size(), size_t{BENCH_LINE_BYTES} - 1);
    const size_t prefix_size = line.size() - size;
    const std::optional<int64_t> number = NumberOf(std::string_view(line).substr(prefix_size));
    if (!number) {
      ++arrived.torn;
      continue;
    }
    ++arrived.whole;
    int64_t& expected = next[line.substr(0, prefix_size)];
    if (*number != expected) ++arrived.out_of_order;
    if (*number < expected) ++arrived.backwards;
    expected = *number + 1;
  }
  return arrived;
}

int CountWholeFiles(const std::string& folder, int64_t lines) {
  int whole = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.path().extension() == ".stdout" && CheckLines(entry.path()).all(lines)) ++whole;
  }
  return whole;
}

}  // namespace lockstep::bench
