// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_CLUSTER_PROTOCOL_H_
#define LOCKSTEP_LAUNCHER_CLUSTER_PROTOCOL_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/base/ids.h"

namespace lockstep::launcher {

/// Of agent.proto; an agent and its coordinator must speak the same.
inline constexpr uint32_t kAgentProtocol = 1;

/// The name in the coordinator's certificate.
inline constexpr std::string_view kCoordinatorName = "coordinator";

/// The name in the certificate of the agent that is to be node `node`.
inline std::string NodeName(base::NodeIndex node) { return "node-" + node.ToString(); }

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_CLUSTER_PROTOCOL_H_
