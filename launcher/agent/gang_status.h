// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_GANG_STATUS_H_
#define LOCKSTEP_LAUNCHER_AGENT_GANG_STATUS_H_

#include <cstdint>
#include <map>

#include "elastic/gang.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/proto/control.pb.h"

namespace lockstep::launcher {

/// What `lockstep status` shows of a gang: everything but the job's own name, host and age.
/// `steps` holds the last one that each rank has reported in this round. Pure; for any thread.
proto::StatusReply StatusOf(const elastic::GangState& gang,
                            const std::map<base::Rank, int64_t>& steps, base::SteadyTime now);

/// Of `whole` the rows that a StatusRequest with `first_row` is answered with: as many as one
/// message carries with ease. Pure; for any thread.
proto::StatusReply StatusPage(proto::StatusReply whole, int first_row);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_GANG_STATUS_H_
