// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_PLACEMENT_NODE_PLAN_H_
#define LOCKSTEP_LAUNCHER_PLACEMENT_NODE_PLAN_H_

#include <string>
#include <vector>

#include "runtime/proto/job.pb.h"

/// Which nodes a job has, before any agent runs. Pure functions, for any thread.
namespace lockstep::launcher {

struct PlannedNode {
  std::string host;      // as people name it
  int slots = 1;         // ranks on it
  bool is_here = false;  // its agent is that of `lockstep run`; at most one is
};

/// The nodes in the order of their ranks; empty for a job of one node, which needs no plan. `spec` is
/// complete and valid; `here` is this machine's name.
std::vector<PlannedNode> PlanNodes(const proto::JobSpec& spec, const std::string& here);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_PLACEMENT_NODE_PLAN_H_
