// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_NODE_NETWORK_H_
#define LOCKSTEP_LAUNCHER_AGENT_NODE_NETWORK_H_

#include <functional>
#include <string>

#include "launcher/attach/card_carrier.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/net/secret.h"
#include "runtime/proto/agent.pb.h"

namespace lockstep::launcher {

/// What a node of a job of several needs so that its ranks meet those of the others.
struct NodeNetwork {
  net::Secret secret;          // of the job
  std::string listen_address;  // of this machine, numeric: that which the agents speak by
  std::string address;         // by which other nodes reach it: a name, a number, or the same
  std::function<void(const proto::Cards&)> send_cards;  // to the coordinator
};

/// The length of a job's secret.
inline constexpr size_t kJobSecretBytes = 32;

/// What the node's ranks are told in that round. Their key is HMAC-SHA256 of job and round, with
/// the secret: that of one round proves nothing in another. `ports` is the spec's. Errors:
/// InvalidArgument - no range of ports. A pure function.
base::Result<RankNetwork> RankNetworkOf(const NodeNetwork& node, const std::string& job_id,
                                        base::Round round, const std::string& boot_id,
                                        const std::string& ports);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_NODE_NETWORK_H_
