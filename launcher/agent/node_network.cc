// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/node_network.h"

#include <string.h>

#include <string_view>

#include "runtime/net/hmac.h"
#include "runtime/net/tcp_socket.h"
#include "runtime/proto/port_range_text.h"

namespace lockstep::launcher {
namespace {

net::Secret RoundKey(const net::Secret& secret, const std::string& job_id, base::Round round) {
  const std::string number = round.ToString();
  const std::string_view parts[] = {"lockstep ranks over tcp", job_id, number};
  net::Hmac key = net::HmacSha256(secret.view(), parts);
  net::Secret kept({reinterpret_cast<const char*>(key.data()), key.size()});
  ::explicit_bzero(key.data(), key.size());
  return kept;
}

}  // namespace

base::Result<RankNetwork> RankNetworkOf(const NodeNetwork& node, const std::string& job_id,
                                        base::Round round, const std::string& boot_id,
                                        const std::string& ports) {
  ASSIGN_OR_RETURN(const proto::PortSpan span, proto::ParsePortSpan(ports));
  RankNetwork network;
  network.round = round;
  network.key = RoundKey(node.secret, job_id, round);
  network.ports = {span.first, span.last};
  network.host_id = boot_id;
  network.listen_address = node.listen_address;
  // Ranks look no names up.
  if (net::NumericAddress({.host = node.address, .port = 1})) network.address = node.address;
  return network;
}

}  // namespace lockstep::launcher
