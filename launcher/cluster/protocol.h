// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_CLUSTER_PROTOCOL_H_
#define LOCKSTEP_LAUNCHER_CLUSTER_PROTOCOL_H_

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/base/clock.h"
#include "runtime/base/ids.h"

namespace lockstep::launcher {

/// Of agent.proto; an agent and its coordinator must speak the same.
inline constexpr uint32_t kAgentProtocol = 1;

/// What a job may have at most (job.proto says the same of its fields): whoever speaks of more is
/// not believed.
inline constexpr int kNodesMax = 10'000;
inline constexpr int kSlotsMax = 4096;  // of a node
inline constexpr int kRanksMax = 65'536;

/// How long a coordinator waits at the end of a job for its members' goodbyes: more than what the
/// waits of a member at the end add up to (member_agent.cc).
inline constexpr base::Duration kFarewellTime = std::chrono::seconds(25);

/// The name in the coordinator's certificate.
inline constexpr std::string_view kCoordinatorName = "coordinator";

/// The name in the certificate of the agent that is to be node `node`.
inline std::string NodeName(base::NodeIndex node) { return "node-" + node.ToString(); }

/// What people are told while a job waits for nodes.
inline std::string FormingText(int nodes_here, int node_count) {
  return std::to_string(nodes_here) + " of " + std::to_string(node_count) +
         " nodes are here, missing " + std::to_string(node_count - nodes_here);
}

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_CLUSTER_PROTOCOL_H_
