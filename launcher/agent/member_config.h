// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_MEMBER_CONFIG_H_
#define LOCKSTEP_LAUNCHER_AGENT_MEMBER_CONFIG_H_

#include <optional>
#include <string>
#include <vector>

#include "launcher/front/shared_text.h"
#include "launcher/jobs/process_identity.h"
#include "runtime/base/clock.h"
#include "runtime/net/job_token.h"
#include "runtime/proto/agent.pb.h"
#include "runtime/proto/job.pb.h"
#include "runtime/proto/job_state.pb.h"
#include "runtime/storage/file_system.h"
#include "runtime/topology/environment.h"

namespace lockstep::launcher {

/// What an agent brings that comes by itself, the same line being started on every node: this line
/// says what its ranks execute and where their output goes; the rest is the coordinator's.
struct OwnLine {
  std::optional<net::JobKey> key;      // of the token; none: everybody is let in
  proto::JobSpec spec;                 // complete and valid
  std::string spec_text;               // of it, for people
  std::vector<std::string> arguments;  // of every rank
  std::string address;                 // by which other nodes reach this one; "" = as it comes
  base::Duration join_timeout{0};
  proto::JobState state;     // its first state; the job's id is added
  std::string folder;        // of `lockstep run`, from which the spec's folders count
  std::string console_path;  // detached: the file that is our output; "" = it has a name already
};

struct MemberAgentConfig {
  /// Of an agent that comes by itself: where to, as what, by which name of the job; no keys.
  proto::Bootstrap bootstrap;
  std::optional<OwnLine> own_line;
  topology::Environment environment;  // which ranks inherit
  HostIdentity here;                  // under the bootstrap's name, if it has one
  std::string jobs_root;
  std::string socket_directory;
  storage::FileSystem* files = nullptr;
  SharedText* job_id = nullptr;  // is set as soon as the id is known
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_MEMBER_CONFIG_H_
