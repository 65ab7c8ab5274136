// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_DIAGNOSIS_GROUP_HEADS_H_
#define LOCKSTEP_COLLECTIVES_DIAGNOSIS_GROUP_HEADS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "collectives/diagnosis/evidence.h"
#include "collectives/diagnosis/group_views.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"

namespace lockstep::collectives {

/// Where one group stands.
struct GroupHead {
  enum class State : uint8_t {
    kNew,      // its members have called nothing
    kIdle,     // none of them is in an op
    kMoving,   // all have come to the op, and it is not over
    kWaiting,  // some have not come
    kUnknown,  // somebody waits, and of those who may not have come too little is known
  };
  GroupKey key;
  std::string name;
  int size = 0;
  State state = State::kNew;
  /// The first that is not over, as its longest waiter has it; of an idle group the last one.
  std::optional<SeenOp> op;
  std::vector<base::Rank> called;   // who has called it, by rank
  std::vector<base::Rank> awaited;  // who has not
  int unheard = 0;                  // members of which too little is known to tell
  base::Duration waited{0};         // by the one who has waited longest
};
/// "new", "idle", "moving", "waiting", "unknown".
std::string_view StateName(GroupHead::State state);

/// The head of each group that has members which are in it still: those that wait first, the
/// longest wait first, then those that move, then the others, larger ones first. Rings are not read
/// in one instant: of a gang that goes on somebody waits for some microseconds. Near linear in the
/// evidence, of which as much suffices as reaches back to the op in which each group stands; who
/// has called nothing of a group in a ring that has lost records counts as unheard. Pure; any
/// thread.
std::vector<GroupHead> GroupHeads(const Evidence& evidence);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_DIAGNOSIS_GROUP_HEADS_H_
