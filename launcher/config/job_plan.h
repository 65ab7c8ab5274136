// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_CONFIG_JOB_PLAN_H_
#define LOCKSTEP_LAUNCHER_CONFIG_JOB_PLAN_H_

#include <optional>
#include <string>
#include <vector>

#include "launcher/placement/node_plan.h"
#include "runtime/proto/job.pb.h"
#include "runtime/topology/environment.h"

namespace lockstep::launcher {

/// What is to run where, as far as it is known before anything is started: what `lockstep run`
/// carries out and `lockstep render` prints.
struct JobPlan {
  proto::TrainingJob job;  // complete and valid
  std::string name;
  bool name_is_users = false;          // not made from the program's
  std::vector<std::string> arguments;  // of every rank
  std::optional<int> program_word;     // of them: the file that the job brings (ProgramWord)
  std::vector<PlannedNode> nodes;      // in rank order; at least one
  topology::Environment environment;   // which ranks inherit

  int rank_count() const { return job.spec().gang().total_processes(); }
};

/// `job` is complete and valid (ResolveJob), `environment` that of this command, `here` this
/// machine's name. A pure function.
JobPlan PlanJob(proto::TrainingJob job, topology::Environment environment, const std::string& here);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_CONFIG_JOB_PLAN_H_
