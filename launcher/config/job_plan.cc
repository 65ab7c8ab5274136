// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/config/job_plan.h"

#include <utility>

#include "launcher/config/program_arguments.h"
#include "launcher/config/resolve_job.h"

namespace lockstep::launcher {

JobPlan PlanJob(proto::TrainingJob job, topology::Environment environment,
                const std::string& here) {
  JobPlan plan;
  plan.name_is_users = job.metadata().has_name();
  plan.name = plan.name_is_users ? job.metadata().name() : DefaultJobName(job.spec().program());
  plan.arguments = ProgramArguments(job.spec().program(), environment);
  plan.program_word = ProgramWord(job.spec().program());
  plan.nodes = PlanNodes(job.spec(), here);
  plan.environment = EnvironmentForRanks(std::move(environment));
  plan.job = std::move(job);
  return plan;
}

}  // namespace lockstep::launcher
