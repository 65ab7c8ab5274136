// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_BENCH_RANKS_GROUP_CALL_H_
#define LOCKSTEP_LAUNCHER_BENCH_RANKS_GROUP_CALL_H_

#include <string>

#include "collectives/group.h"
#include "launcher/bench/ranks/rank_harness.h"
#include "runtime/base/status.h"

/// A call of `lockstep bench` as one of a Group. Functions without state, for any thread.
namespace lockstep::launcher {

/// Unimplemented, which says what is missing, on all ranks alike. A refused call would end the
/// group.
base::Status CheckCall(const collectives::Group& group, const lockstep_bench_call& call);

/// Blocks until the op has ended here. Its buffers are on `device`.
base::Status CallAndWait(collectives::Group& group, const lockstep_bench_call& call,
                         collectives::Device device = {});

/// ", calls compared", for people, of a group whose members do so and need not: those of host
/// backends always do.
std::string CallCheckText(const collectives::Group& group);

/// Writes what `status` says as the harness wants it.
void ExplainTo(const base::Status& status, char* error);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_BENCH_RANKS_GROUP_CALL_H_
