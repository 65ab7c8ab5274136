// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_RUN_JOB_H_
#define LOCKSTEP_LAUNCHER_RUN_JOB_H_

#include <optional>
#include <string>

#include "launcher/config/job_plan.h"
#include "launcher/placement/meeting.h"
#include "launcher/verbs/verb_context.h"
#include "runtime/base/result.h"

namespace lockstep::launcher {

struct RunJobOptions {
  JobPlan plan;           // if its name is the user's, no live job of this host may have it
  std::string spec_text;  // of the job, for people: PrintConfig()
  bool detach = false;
  std::optional<Meeting> meeting;  // of nodes that come by themselves
};

/// Runs a job on this machine to its end (detached: until its ranks have started): makes its
/// directory, then becomes the front, whose child is the agent. Returns the exit status of
/// `lockstep run`. Call once, from a process with one thread. Errors: what keeps a job from having
/// a directory; then nothing of it is left.
base::Result<int> RunJob(const VerbContext& context, RunJobOptions options);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_RUN_JOB_H_
