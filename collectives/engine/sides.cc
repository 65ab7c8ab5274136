// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/engine/sides.h"

#include <algorithm>
#include <map>
#include <utility>

namespace lockstep::collectives {

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
  for (const std::vector<int>& side : all_)
    text += (text.empty() ? "" : "; ") + names(side) + " called " + call_of(side.front());
  return has_majority() ? text : text + "; no side is a majority, so either may be wrong";
}

}  // namespace lockstep::collectives
