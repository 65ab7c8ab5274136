// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/proto/problem.h"

#include <algorithm>
#include <cctype>

namespace lockstep::proto {
namespace {

constexpr size_t kMaxShown = 50;
constexpr size_t kMaxValueBytes = 60;

bool IsWordCharacter(char c) {
  return std::isgraph(static_cast<unsigned char>(c)) && c != '"' && c != '\'';
}

std::string Place(const Problem& problem) {
  std::string place = problem.source;
  if (problem.line > 0) place += (place.empty() ? "line " : ":") + std::to_string(problem.line);
  return place.empty() ? "" : place + ": ";
}

}  // namespace

std::string ShortValue(std::string_view value) {
  if (!value.empty() && value.size() <= kMaxValueBytes &&
      std::all_of(value.begin(), value.end(), IsWordCharacter)) {
    return std::string(value);
  }
  std::string shown = "\"";
  for (const char c : value.substr(0, kMaxValueBytes)) {
    shown += std::isprint(static_cast<unsigned char>(c)) ? c : '?';
  }
  return shown + (value.size() > kMaxValueBytes ? "...\"" : "\"");
}

std::string Problem::ToString() const {
  std::string text = Place(*this);
  if (!path.empty()) text += path + ": ";
  if (!value.empty()) text += value + " ";
  return text + what;
}

base::Status ProblemsToStatus(const std::vector<Problem>& problems) {
  if (problems.empty()) return base::OkStatus();
  if (problems.size() == 1) return base::InvalidArgumentError(problems[0].ToString());
  std::string text = std::to_string(problems.size()) + " problems:";
  for (size_t i = 0; i < std::min(problems.size(), kMaxShown); ++i)
    text += "\n  " + problems[i].ToString();
  if (problems.size() > kMaxShown)
    text += "\n  and " + std::to_string(problems.size() - kMaxShown) + " more";
  return base::InvalidArgumentError(text);
}

}  // namespace lockstep::proto
