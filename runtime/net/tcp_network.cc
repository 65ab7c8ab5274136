// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/tcp_network.h"

#include <utility>

#include "runtime/net/tcp_connecting.h"
#include "runtime/net/tcp_listener.h"
#include "runtime/net/tcp_socket.h"

namespace lockstep::net {

TcpNetwork::TcpNetwork(std::unique_ptr<const Transport> transport, Channel::Options channel,
                       event::Loop& loop)
    : transport_(std::move(transport)), channel_(channel), loop_(loop), resolver_(loop) {}

TcpNetwork::~TcpNetwork() { seq_.AssertHeld(); }

base::Result<std::unique_ptr<Listener>> TcpNetwork::Listen(const ListenOptions& options,
                                                           OnConnection on_connection) {
  seq_.AssertHeld();
  ASSIGN_OR_RETURN(TcpListenSockets sockets, ListenTcp(options.host, options.ports));
  return std::make_unique<TcpListener>(std::move(sockets), options, std::move(on_connection),
                                       channel_, *transport_, loop_);
}

std::unique_ptr<Connecting> TcpNetwork::Connect(std::vector<Endpoint> endpoints,
                                                base::Duration timeout, OnConnected done) {
  seq_.AssertHeld();
  return std::make_unique<TcpConnecting>(std::move(endpoints), timeout, std::move(done), channel_,
                                         *transport_, resolver_, loop_);
}

}  // namespace lockstep::net
