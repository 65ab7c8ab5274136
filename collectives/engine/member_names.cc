// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/engine/member_names.h"

#include <algorithm>

namespace lockstep::collectives {

std::string NameMembers(std::span<const base::Rank> world_ranks, std::span<const int> members) {
  std::string text = members.size() == 1 ? "rank " : "ranks ";
  for (size_t i = 0; i < std::min(members.size(), kNamedMembersMax); ++i) {
    if (i > 0) text += ", ";
    text += world_ranks[static_cast<size_t>(members[i])].ToString();
  }
  if (members.size() > kNamedMembersMax)
    text += " and " + std::to_string(members.size() - kNamedMembersMax) + " more";
  return text;
}

}  // namespace lockstep::collectives
