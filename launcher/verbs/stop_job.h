// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_VERBS_STOP_JOB_H_
#define LOCKSTEP_LAUNCHER_VERBS_STOP_JOB_H_

#include <chrono>
#include <string>

#include "launcher/verbs/verb_context.h"
#include "runtime/base/status.h"

namespace lockstep::launcher {

struct StopJobOptions {
  std::string job;       // id, name, or the beginning of an id
  int signal = 0;        // that the job is ended as if by; 0 = SIGTERM
  bool at_once = false;  // without the user's grace
  bool wait = true;      // until the job has ended
  /// What a job may take beyond its grace to end: to die, to be reaped, to write its output.
  base::Duration margin = std::chrono::seconds(20);
  /// The wait after which it is told what is being waited for, and told again.
  base::Duration silence = std::chrono::seconds(1);
  base::Duration reminder = std::chrono::seconds(10);
};

/// `lockstep stop`: ends a job as the same signal sent to its `lockstep run` would. A job that has
/// ended already is a success; of a lost one, what it left is ended. An agent that lives and cannot
/// be reached, because the folder of its socket was removed, gets the signal itself (at once:
/// SIGKILL, and its `lockstep run` ends the ranks), which is told. Ranks that another launcher has
/// started (JobState.launcher) get SIGTERM and nothing else, which is told too.
/// Blocks: for the job's grace and `margin`, when it waits.
/// Errors: as JobStore::Find; FailedPrecondition - the job runs elsewhere; DeadlineExceeded -
/// its agent does not answer, or the job has not ended in time; else as AskAgent and EndLostJob.
base::Status StopJob(const VerbContext& context, const StopJobOptions& options);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_VERBS_STOP_JOB_H_
