// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_TOPOLOGY_SLURM_TASKS_H_
#define LOCKSTEP_RUNTIME_TOPOLOGY_SLURM_TASKS_H_

#include <string_view>

#include "runtime/base/result.h"

namespace lockstep::topology {

/// What SLURM_STEP_TASKS_PER_NODE says, seen from one node.
struct SlurmTasks {
  int on_node = 0;  // tasks of that node
  int total = 0;    // of all nodes
  int node_count = 0;

  friend bool operator==(const SlurmTasks&, const SlurmTasks&) = default;
};

/// Parses "4(x2),3": four tasks on each of two nodes, then three on one. `node_index` counts from
/// 0. A pure function, for any thread. Errors: InvalidArgument - not such a text, more than 2^31 -
/// 1 tasks or nodes, or fewer nodes than `node_index` needs.
base::Result<SlurmTasks> ParseSlurmTasks(std::string_view text, int node_index);

}  // namespace lockstep::topology

#endif  // LOCKSTEP_RUNTIME_TOPOLOGY_SLURM_TASKS_H_
