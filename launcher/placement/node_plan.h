// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_PLACEMENT_NODE_PLAN_H_
#define LOCKSTEP_LAUNCHER_PLACEMENT_NODE_PLAN_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/proto/job.pb.h"

/// Which nodes a job is to have, before anything of it is started. Pure functions, for any thread.
namespace lockstep::launcher {

/// How a node's agent comes to life.
enum class AgentStart : uint8_t {
  kByLauncher,    // by `lockstep run`, as its child
  kBySsh,         // by `lockstep run`, through ssh
  kByItself,      // by the `lockstep run` that is typed on that node
  kAsSimulation,  // by the first node's agent, as its child: this machine plays another one
};
/// For people: "lockstep run, here".
std::string_view AgentStartText(AgentStart start);

struct PlannedNode {
  std::string host;     // what the job calls it
  std::string address;  // by which ranks of other nodes reach this one; "" = its agent will say it
  int slots = 1;        // ranks on it
  AgentStart start = AgentStart::kByLauncher;

  /// Its agent is that of `lockstep run` itself; at most one node's is.
  bool is_here() const { return start == AgentStart::kByLauncher; }

  friend bool operator==(const PlannedNode&, const PlannedNode&) = default;
};

/// In rank order; at least one. `spec` is complete and valid; `here` is this machine's name.
/// Of hosts that ssh reaches, the one of that name is run by the launcher itself; under other names
/// it is found when the job starts. Nodes that come by themselves have names that only count them,
/// and as many slots as this one would have. Simulated hosts share the ranks as evenly as can be,
/// the first ones having one more.
std::vector<PlannedNode> PlanNodes(const proto::JobSpec& spec, const std::string& here);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_PLACEMENT_NODE_PLAN_H_
