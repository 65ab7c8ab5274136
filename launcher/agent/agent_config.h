// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_AGENT_CONFIG_H_
#define LOCKSTEP_LAUNCHER_AGENT_AGENT_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "launcher/jobs/job_directory.h"
#include "launcher/jobs/process_identity.h"
#include "launcher/placement/meeting.h"
#include "launcher/placement/node_plan.h"
#include "runtime/proto/job.pb.h"
#include "runtime/proto/job_state.pb.h"
#include "runtime/topology/environment.h"

namespace lockstep::launcher {

/// Everything an agent is made from; what it needs of the machine it opens itself.
struct AgentConfig {
  proto::TrainingJob job;              // complete and valid
  std::string spec_text;               // of the job, for people: kept in its directory
  std::vector<std::string> arguments;  // of every rank: the program, or python and its script
  std::vector<PlannedNode> nodes;      // in rank order, this process's own first
  int rank_count = 1;                  // on all of them
  uint64_t seed = 0;                   // of the backoffs' jitter: any fresh randomness
  topology::Environment environment;   // of `lockstep run`, which ranks inherit
  JobDirectory directory;
  proto::JobState state;  // as the directory has it
  HostIdentity here;
  std::string socket_directory;  // private to the user, short
  std::string log_directory;     // absolute; "" = in the job directory
  bool detached = false;         // the `lockstep run` that was typed ends when the ranks run
  bool color_stdout = false;     // color the prefixes of ranks' lines
  bool color_stderr = false;
  std::optional<int> program_word;  // which of the arguments is the file that the job brings
  std::optional<Meeting> meeting;   // nodes that come by themselves, to this one
  std::string jobs_root;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_AGENT_CONFIG_H_
