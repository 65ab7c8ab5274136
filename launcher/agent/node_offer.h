// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_NODE_OFFER_H_
#define LOCKSTEP_LAUNCHER_AGENT_NODE_OFFER_H_

#include <string>

#include "launcher/agent/member_config.h"
#include "runtime/base/result.h"
#include "runtime/proto/agent.pb.h"

/// What a node has for a job, looked up on its machine before it asks to be let in. Functions
/// without state, for any thread.
namespace lockstep::launcher {

struct NodeOffer {
  std::string folder;        // where ranks start; "" = as the welcome says
  std::string program_hash;  // as elastic::NodeFacts has it
};

/// Says on standard error where ranks start when that is not where they were wanted. Blocks: to
/// hash the program. Errors: FailedPrecondition - the launcher is on this machine, where it has an
/// agent; NotFound - the working directory is not there; as FindProgram.
base::Result<NodeOffer> MakeNodeOffer(const MemberAgentConfig& config);

/// What the agent says first. `master_port` is claimed on this machine.
proto::Hello HelloOf(const MemberAgentConfig& config, const NodeOffer& offer, int master_port);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_NODE_OFFER_H_
