// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_JOIN_JOB_H_
#define LOCKSTEP_LAUNCHER_JOIN_JOB_H_

#include "launcher/run_job.h"
#include "launcher/verbs/verb_context.h"
#include "runtime/base/result.h"

namespace lockstep::launcher {

/// `lockstep run` on a node whose job's coordinator is elsewhere (RunJobOptions::meeting): joins
/// that, and runs this node's ranks to the job's end (detached: until they have started). Returns
/// the exit status, which is the job's. Call once, from a process with one thread. Errors: what
/// keeps it from having folders.
base::Result<int> JoinJob(const VerbContext& context, RunJobOptions options);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_JOIN_JOB_H_
