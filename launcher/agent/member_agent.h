// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_MEMBER_AGENT_H_
#define LOCKSTEP_LAUNCHER_AGENT_MEMBER_AGENT_H_

#include "launcher/agent/member_config.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::launcher {

/// The process that runs a job's ranks on a node that is not the coordinator's: joins the job, does
/// what that says, and ends the ranks when it loses it. Call it in a process of its own, as
/// RunAgent. Without a line of its own it ends, too, when its standard input does before it has
/// reached the coordinator: whoever started it keeps that open meanwhile, and is gone then. Returns
/// the exit status of its front: the job's; kAgentLost when it has lost it; kUsage
/// or kUnavailable when it was not let in, as another try of the same line would or would not help.
/// Blocks: for the job's life.
int RunMemberAgent(MemberAgentConfig config, base::UniqueFd link);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_MEMBER_AGENT_H_
