// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_EXEC_ADOPTING_AGENT_H_
#define LOCKSTEP_LAUNCHER_EXEC_ADOPTING_AGENT_H_

#include <string>

#include "launcher/jobs/process_identity.h"
#include "runtime/base/unique_fd.h"
#include "runtime/storage/file_system.h"

namespace lockstep::launcher {

struct AdoptingAgentConfig {
  std::string address;           // on which `listener` listens
  std::string job_key;           // of the one job that it is for
  std::string jobs_root;         // where its directory is made
  std::string socket_directory;  // private to the user, short
  HostIdentity here;
  storage::FileSystem* files = nullptr;
};

/// The agent of ranks that another launcher has started, one a job and host: gives each rank that
/// comes to `listener` (election.h) its place, its socket, its recorder and its shared memory, and
/// writes the job directory down, as the agent of `lockstep run` does. It is parent of none of
/// them: it starts and kills nobody, and does not know how a rank has ended.
///
/// It ends by itself: when every rank that belongs on this host has come and ended; when all that
/// have come have ended and no other comes for 2 s; when one comes then that was started after they
/// had ended, or has come before, for that is the launcher's next job. HUP, INT, QUIT, TERM, USR1
/// and USR2 it ignores: they come from launchers that signal whatever they find, and its ranks may
/// be saving their state.
///
/// Call it in a daemon (process::ForkDaemon). Returns that one's exit status. Blocks: for the job's
/// life.
int RunAdoptingAgent(AdoptingAgentConfig config, base::UniqueFd listener);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_EXEC_ADOPTING_AGENT_H_
