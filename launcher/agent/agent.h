// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_AGENT_H_
#define LOCKSTEP_LAUNCHER_AGENT_AGENT_H_

#include "launcher/agent/agent_config.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::launcher {

/// The process that runs a job on this machine: parent and subreaper of its ranks. Call it in a
/// process of its own (front.h). `link` is the front's: signals come in by it, and its end of file
/// takes the gang down. Returns the exit status of `lockstep run`. Blocks: for the job's life.
int RunAgent(AgentConfig config, base::UniqueFd link);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_AGENT_H_
