// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_EXEC_EXEC_PROGRAM_H_
#define LOCKSTEP_LAUNCHER_EXEC_EXEC_PROGRAM_H_

#include "launcher/exec/exec_options.h"
#include "launcher/verbs/verb_context.h"
#include "runtime/base/result.h"
#include "runtime/topology/environment.h"

namespace lockstep::launcher {

/// `lockstep exec`: this process, which another launcher has started as a rank, meets the one agent
/// of its job on this host and then becomes the program. It stays what the launcher knows: its pid,
/// its streams, its signals, its exit status. A rank of `lockstep run` becomes the program as it
/// is.
///
/// The job is told from others by, in this order: `job_key`; what the launcher calls it
/// (ForeignRank::job_key); the launcher's process (FindLauncherProcess). Ranks of another job with
/// the same key are refused.
///
/// Does not return when it succeeds; the exit status when the program could not be executed, which
/// has been said. Call once, from a process with one thread. Blocks: 10 s at most.
/// Errors: InvalidArgument - no launcher, an incomplete set of variables, `lockstep run` and
/// another launcher at once; NotFound - no shim (watch_shim.h); else as MeetAgent (election.h).
base::Result<int> ExecProgram(const VerbContext& context, const ExecOptions& options,
                              topology::Environment environment);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_EXEC_EXEC_PROGRAM_H_
