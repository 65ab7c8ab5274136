// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_ENGINE_MEMBER_NAMES_H_
#define LOCKSTEP_COLLECTIVES_ENGINE_MEMBER_NAMES_H_

#include <cstddef>
#include <span>
#include <string>

#include "runtime/base/ids.h"

namespace lockstep::collectives {

/// An error names as many members; how many more there are it says.
inline constexpr size_t kNamedMembersMax = 8;

/// "rank 3", "ranks 1, 4", "ranks 0, 1, 2, 3, 4, 5, 6, 7 and 9 more": members of a group by what
/// they are in the world. `world_ranks`: by group rank. Any thread.
std::string NameMembers(std::span<const base::Rank> world_ranks, std::span<const int> members);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_ENGINE_MEMBER_NAMES_H_
