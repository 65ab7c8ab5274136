// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_MEMBER_AGENT_H_
#define LOCKSTEP_LAUNCHER_AGENT_MEMBER_AGENT_H_

#include <string>

#include "launcher/jobs/process_identity.h"
#include "runtime/base/unique_fd.h"
#include "runtime/proto/agent.pb.h"
#include "runtime/storage/file_system.h"
#include "runtime/topology/environment.h"

namespace lockstep::launcher {

struct MemberAgentConfig {
  proto::Bootstrap bootstrap;
  topology::Environment environment;  // which ranks inherit
  HostIdentity here;                  // under the bootstrap's name, if it has one
  std::string jobs_root;
  std::string socket_directory;
  storage::FileSystem* files = nullptr;
};

/// The process that runs a job's ranks on a node that is not the coordinator's: joins the job, does
/// what that says, and ends the ranks when it loses it. Call it in a process of its own, as
/// RunAgent. Returns the exit status of `lockstep agent`: the job's, or kAgentLost. Blocks: for the
/// job's life.
int RunMemberAgent(MemberAgentConfig config, base::UniqueFd link);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_MEMBER_AGENT_H_
