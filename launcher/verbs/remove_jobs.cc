// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verbs/remove_jobs.h"

#include <vector>

#include "launcher/verbs/lost_jobs.h"
#include "launcher/verbs/stop_job.h"

namespace lockstep::launcher {

base::Status RemoveJob(const VerbContext& context, const RemoveJobOptions& options) {
  SweepLostJobs(context);  // nobody could find what they left when their state is gone
  ASSIGN_OR_RETURN(const JobEntry job, OpenStore(context).Find(options.job));
  if (job.condition == JobCondition::kLive) {
    if (!options.force) {
      return base::FailedPreconditionError(
          "remove job " + job.id + ": it is running; stop it first: `lockstep stop " + job.id +
          "`, or both: `lockstep rm --force " + job.id + "`");
    }
    RETURN_IF_ERROR(StopJob(context, {.job = job.id, .at_once = true}));
  }
  RETURN_IF_ERROR(OpenStore(context).Remove(job));
  std::fprintf(context.out, "removed %s\n", job.id.c_str());
  return base::OkStatus();
}

base::Status PruneJobs(const VerbContext& context, const PruneJobsOptions& options) {
  SweepLostJobs(context);
  const base::WallTime before = context.clock.WallNow() - options.older;
  ASSIGN_OR_RETURN(const std::vector<std::string> removed, OpenStore(context).Prune(before));
  for (const std::string& id : removed) std::fprintf(context.out, "removed %s\n", id.c_str());
  if (removed.empty()) std::fputs("lockstep: no job is old enough to be removed\n", context.err);
  return base::OkStatus();
}

}  // namespace lockstep::launcher
