// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_NET_TCP_NETWORK_H_
#define LOCKSTEP_RUNTIME_NET_TCP_NETWORK_H_

#include <memory>
#include <vector>

#include "runtime/base/sequence.h"
#include "runtime/event/loop.h"
#include "runtime/net/channel.h"
#include "runtime/net/network.h"
#include "runtime/net/resolver.h"
#include "runtime/net/transport.h"

namespace lockstep::net {

/// The Network of a living agent: TCP, v4 and v6, protected as its transport does. One per agent,
/// owned by it; outlives its listeners and attempts, not its connections.
///
///   ASSIGN_OR_RETURN(auto transport, TlsTransport::Create(credentials));
///   TcpNetwork network(std::move(transport), {}, loop);
///   ASSIGN_OR_RETURN(auto listener, network.Listen({.ports = {29400, 29499}}, on_connection));
class TcpNetwork final : public Network {
 public:
  TcpNetwork(std::unique_ptr<const Transport> transport, Channel::Options channel,
             event::Loop& loop);
  ~TcpNetwork() override;
  TcpNetwork(const TcpNetwork&) = delete;
  TcpNetwork& operator=(const TcpNetwork&) = delete;

  /// Blocks while the name service does, when the host is a name.
  base::Result<std::unique_ptr<Listener>> Listen(const ListenOptions& options,
                                                 OnConnection on_connection) override;
  [[nodiscard]] std::unique_ptr<Connecting> Connect(std::vector<Endpoint> endpoints,
                                                    base::Duration timeout,
                                                    OnConnected done) override;

 private:
  const std::unique_ptr<const Transport> transport_;
  const Channel::Options channel_;
  event::Loop& loop_;
  base::Sequence seq_;
  Resolver resolver_;
};

}  // namespace lockstep::net

#endif  // LOCKSTEP_RUNTIME_NET_TCP_NETWORK_H_
