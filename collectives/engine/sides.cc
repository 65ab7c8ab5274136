// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/engine/sides.h"

#include <algorithm>
#include <map>
#include <utility>

namespace lockstep::collectives {
namespace {

// An error's text ends somewhere, and must still say how many there are.
constexpr size_t kCallsToldMax = 4;

}  // namespace

Sides::Sides(std::span<const uint64_t> keys) {
  std::map<uint64_t, std::vector<int>> by_key;
  for (size_t member = 0; member < keys.size(); ++member)
    by_key[keys[member]].push_back(static_cast<int>(member));
  for (auto& [key, members] : by_key) all_.push_back(std::move(members));
  std::sort(all_.begin(), all_.end(), [](const auto& a, const auto& b) {
    return a.size() != b.size() ? a.size() > b.size() : a.front() < b.front();
  });
}

std::vector<int> Sides::Blamed() const {
  std::vector<int> blamed;
  for (size_t side = has_majority() ? 1 : 0; side < all_.size(); ++side)
    blamed.insert(blamed.end(), all_[side].begin(), all_[side].end());
  return blamed;
}

std::string Sides::DescribeCalls(const std::function<std::string(const std::vector<int>&)>& names,
                                 const std::function<std::string(int member)>& call_of) const {
  std::string text;
  const size_t told = std::min(all_.size(), kCallsToldMax);
  for (const std::vector<int>& side : std::span(all_).first(told))
    text += (text.empty() ? "" : "; ") + names(side) + " called " + call_of(side.front());
  if (told < all_.size())
    text += "; and there are " + std::to_string(all_.size() - told) + " more calls";
  return has_majority() ? text : text + "; no side is a majority, so either may be wrong";
}

}  // namespace lockstep::collectives
