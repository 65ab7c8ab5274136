// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/wide/placement.h"

#include <algorithm>
#include <map>

namespace lockstep::collectives {

Placement::Placement(const std::vector<int32_t>& memory, int self) : self_(self) {
  std::map<int32_t, int> known;
  for (size_t member = 0; member < memory.size(); ++member) {
    int machine = static_cast<int>(machines_.size());
    if (memory[member] >= 0) machine = known.try_emplace(memory[member], machine).first->second;
    if (machine == machine_count()) machines_.emplace_back();
    std::vector<int>& members = machines_[static_cast<size_t>(machine)];
    in_blocks_ = in_blocks_ && (members.empty() || members.back() == static_cast<int>(member) - 1);
    machine_of_.push_back(machine);
    index_of_.push_back(static_cast<int>(members.size()));
    members.push_back(static_cast<int>(member));
  }
  for (const std::vector<int>& members : machines_) {
    largest_ = std::max(largest_, static_cast<int>(members.size()));
    even_ = even_ && members.size() == machines_.front().size();
  }
}

std::vector<int> Placement::Across(int index) const {
  std::vector<int> across;
  for (const std::vector<int>& members : machines_) {
    const auto place = static_cast<size_t>(index);
    across.push_back(place < members.size() ? members[place] : members.front());
  }
  return across;
}

}  // namespace lockstep::collectives
