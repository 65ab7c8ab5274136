// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_DIAGNOSIS_STACKS_STACK_GROUPS_H_
#define LOCKSTEP_LAUNCHER_DIAGNOSIS_STACKS_STACK_GROUPS_H_

#include <vector>

#include "runtime/proto/stacks.pb.h"

namespace lockstep::launcher {

/// Which ranks stand in the same place: those whose main threads' calls, from main() on, part from
/// the others' at the same function. A call of a communication library (Lockstep's, MPI, NCCL,
/// Gloo, c10d) ends a path: what a rank does in there while it waits changes from moment to moment.
/// So do calls of libc, and those of a Python interpreter, which are one step of a path. Where more
/// than half of all ranks stand together, the others are outliers. Ranks of which no frames are
/// known make a group with an empty path, which nobody is compared with. Largest group first, then
/// by rank; of each the longest path that its ranks have in common. Pure; any thread.
std::vector<proto::StackGroup> GroupStacks(const std::vector<proto::RankStacks>& ranks);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_DIAGNOSIS_STACKS_STACK_GROUPS_H_
