// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/placement/node_plan.h"

namespace lockstep::launcher {

std::string_view AgentStartText(AgentStart start) {
  switch (start) {
    case AgentStart::kByLauncher: return "lockstep run, here";
    case AgentStart::kBySsh: return "lockstep agent, by ssh";
    case AgentStart::kByItself: return "lockstep run, typed there";
    case AgentStart::kAsSimulation: return "lockstep agent, here: a simulated host";
  }
  return "";
}

namespace {

std::vector<PlannedNode> PlanSshNodes(const proto::SshPlacement& ssh, const std::string& here) {
  std::vector<PlannedNode> nodes;
  for (const proto::SshHost& host : ssh.hosts()) {
    nodes.push_back({.host = host.host(),
                     .slots = host.slots(),
                     .start = host.host() == here ? AgentStart::kByLauncher : AgentStart::kBySsh});
  }
  return nodes;
}

/// Who they are is known when they have come.
std::vector<PlannedNode> PlanComingNodes(const proto::Gang& gang) {
  std::vector<PlannedNode> nodes;
  for (int node = 0; node < gang.max_nodes(); ++node) {
    nodes.push_back({.host = "node-" + std::to_string(node),
                     .slots = gang.processes_per_node().count(),
                     .start = AgentStart::kByItself});
  }
  return nodes;
}

}  // namespace

std::vector<PlannedNode> PlanNodes(const proto::JobSpec& spec, const std::string& here) {
  if (spec.placement().has_ssh()) return PlanSshNodes(spec.placement().ssh(), here);
  if (spec.placement().has_join()) return PlanComingNodes(spec.gang());
  const int count = spec.gang().max_nodes();
  const int total = spec.gang().total_processes();
  std::vector<PlannedNode> nodes;
  for (int node = 0; node < count; ++node) {
    PlannedNode planned{.host = here, .address = "127.0.0.1"};
    planned.slots = total / count + (node < total % count ? 1 : 0);
    if (node > 0) {
      planned.host += "-n" + std::to_string(node);
      planned.start = AgentStart::kAsSimulation;
    }
    nodes.push_back(std::move(planned));
  }
  return nodes;
}

}  // namespace lockstep::launcher
