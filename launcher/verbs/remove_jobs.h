// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_VERBS_REMOVE_JOBS_H_
#define LOCKSTEP_LAUNCHER_VERBS_REMOVE_JOBS_H_

#include <string>

#include "launcher/verbs/verb_context.h"
#include "runtime/base/clock.h"
#include "runtime/base/status.h"

namespace lockstep::launcher {

struct RemoveJobOptions {
  std::string job;     // id, name, or the beginning of an id
  bool force = false;  // stop it first, without grace
};

/// `lockstep rm`: removes a job's directory. A log folder that the user named is left alone.
/// Blocks: on the disk; with force as StopJob.
/// Errors: as JobStore::Find; FailedPrecondition - the job is live (the message has the command
/// that helps), or may run elsewhere; with force as StopJob; else errno's code.
base::Status RemoveJob(const VerbContext& context, const RemoveJobOptions& options);

struct PruneJobsOptions {
  base::Duration older{0};  // since the job's end; for a lost one that nobody swept, its start
};

/// `lockstep prune`: removes the directories of all jobs that have ended or are lost for longer
/// than `older`, and prints their ids. Blocks: on the disk. Errors: as JobStore::Prune.
base::Status PruneJobs(const VerbContext& context, const PruneJobsOptions& options);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_VERBS_REMOVE_JOBS_H_
