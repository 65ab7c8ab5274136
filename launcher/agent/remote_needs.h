// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_REMOTE_NEEDS_H_
#define LOCKSTEP_LAUNCHER_AGENT_REMOTE_NEEDS_H_

#include <optional>
#include <string>
#include <vector>

#include "launcher/jobs/process_identity.h"
#include "launcher/placement/node_plan.h"
#include "runtime/base/result.h"
#include "runtime/proto/agent.pb.h"
#include "runtime/proto/job.pb.h"
#include "runtime/topology/environment.h"

/// What a job on hosts that ssh reaches takes from this machine, and asks of the others. Any
/// thread.
namespace lockstep::launcher {

/// Marks the host that is this machine, if one is: its ranks are those of this agent. Blocks: at
/// most 1 s, for the name service.
void FindOwnNode(std::vector<PlannedNode>* nodes);

struct RemoteNeeds {
  proto::Bootstrap bootstrap;  // its fields about the program, where it runs, and this machine
  std::string program_path;    // of the program here; "" = it need not be here
  std::string program_hash;    // HashProgram() of it
};

/// Makes the spec's working directory, if it has one, absolute. `folder` is this process's own;
/// `program_word` tells which of `arguments` is a file (ProgramWord). Errors: as FindProgram, when
/// ranks run here or the program is to be staged.
base::Result<RemoteNeeds> FindRemoteNeeds(proto::JobSpec* spec,
                                          const std::vector<std::string>& arguments,
                                          std::optional<int> program_word,
                                          const std::vector<PlannedNode>& nodes,
                                          const HostIdentity& here, const std::string& folder,
                                          const topology::Environment& environment);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_REMOTE_NEEDS_H_
