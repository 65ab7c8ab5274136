// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_RUN_AGENT_OF_NODE_H_
#define LOCKSTEP_LAUNCHER_RUN_AGENT_OF_NODE_H_

#include "runtime/base/result.h"
#include "runtime/topology/environment.h"

namespace lockstep::launcher {

/// `lockstep agent`: reads a Bootstrap (agent.proto) from standard input, then is a front whose
/// child is the agent of a node that the coordinator does not share. Returns its exit status. Call
/// once, from a process with one thread. Errors: as ReadBootstrap; else what keeps
/// it from having folders.
base::Result<int> RunAgentOfNode(topology::Environment environment);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_RUN_AGENT_OF_NODE_H_
