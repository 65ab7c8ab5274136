// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_GUARD_MEMBER_H_
#define LOCKSTEP_LAUNCHER_GUARD_MEMBER_H_

#include "launcher/agent/member_agent.h"
#include "launcher/front/front.h"
#include "runtime/base/result.h"

namespace lockstep::launcher {

/// A front whose child is the agent of a node that the coordinator does not share: of `lockstep
/// agent`, which another node's `lockstep run` has started, and of a `lockstep run` that joins the
/// job of another node. Returns the exit status. `config` lacks files and job_id, `front` all but
/// how it is detached. Call once, from a process with one thread. Errors: ResourceExhausted - no
/// memory.
base::Result<int> GuardMember(MemberAgentConfig config, FrontOptions front);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_GUARD_MEMBER_H_
