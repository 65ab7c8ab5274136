// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/placement/node_plan.h"

namespace lockstep::launcher {
namespace {

/// As even as can be, the first ones having one more.
std::vector<PlannedNode> PlanSimulatedNodes(const proto::Gang& gang, const std::string& here) {
  const int count = gang.max_nodes();
  const int ranks = gang.total_processes();
  std::vector<PlannedNode> nodes;
  for (int node = 0; node < count; ++node) {
    nodes.push_back({.host = node == 0 ? here : here + "-n" + std::to_string(node),
                     .slots = ranks / count + (node < ranks % count ? 1 : 0),
                     .is_here = node == 0});
  }
  return nodes;
}

}  // namespace

std::vector<PlannedNode> PlanNodes(const proto::JobSpec& spec, const std::string& here) {
  if (spec.placement().has_simulated() && spec.gang().max_nodes() > 1) {
    return PlanSimulatedNodes(spec.gang(), here);
  }
  return {};
}

}  // namespace lockstep::launcher
