// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_VERBS_LIST_JOBS_H_
#define LOCKSTEP_LAUNCHER_VERBS_LIST_JOBS_H_

#include "launcher/verbs/verb_context.h"
#include "runtime/base/status.h"

namespace lockstep::launcher {

struct ListJobsOptions {
  bool all = false;    // also those that have ended, are lost, or run elsewhere
  bool json = false;   // one array; each job is its JobState and its "condition"
  bool quiet = false;  // ids alone; wins over `json`
};

/// `lockstep ps`: the jobs of this user, live ones first. Asks no agent: what it says is in the
/// jobs' states, and whether those can be believed is decided by the processes that they name.
/// Blocks: on the disk. Errors: as JobStore::List; DataLoss - a state that JSON cannot say.
base::Status ListJobs(const VerbContext& context, const ListJobsOptions& options);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_VERBS_LIST_JOBS_H_
