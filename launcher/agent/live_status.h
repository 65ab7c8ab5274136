// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_LIVE_STATUS_H_
#define LOCKSTEP_LAUNCHER_AGENT_LIVE_STATUS_H_

#include <vector>

#include "collectives/diagnosis/evidence.h"
#include "collectives/diagnosis/group_heads.h"
#include "runtime/proto/control.pb.h"
#include "runtime/proto/pace.pb.h"

/// What a status tells of what the ranks do now. Pure functions, for any thread.
namespace lockstep::launcher {

/// Groups and awaited ranks that are named at most.
inline constexpr int kGroupsTold = 64;
inline constexpr int kAwaitedTold = 16;

/// The groups, and of each rank what StatusRequest::live asks for; nothing else is filled in. What
/// ranks wrote themselves is cleaned.
proto::StatusReply LiveStatusOf(const collectives::Evidence& evidence,
                                const std::vector<collectives::GroupHead>& heads);

/// How fast the ranks go; of a window that has passed.
void AddPace(proto::JobPace pace, proto::StatusReply& status);

/// Into a status that has its ranks; of ranks that `live` does not know nothing is added.
void AddLive(const proto::StatusReply& live, proto::StatusReply& status);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_LIVE_STATUS_H_
