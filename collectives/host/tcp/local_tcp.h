// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_TCP_LOCAL_TCP_H_
#define LOCKSTEP_COLLECTIVES_HOST_TCP_LOCAL_TCP_H_

#include <memory>
#include <string>
#include <utility>

#include "collectives/host/tcp/local_exchange.h"
#include "collectives/host/tcp/tcp_backend_maker.h"
#include "runtime/base/check.h"

namespace lockstep::collectives::testing {

inline TcpService::Config LocalTcpConfig(const std::string& address = "127.0.0.1") {
  TcpService::Config config;
  config.job = "test";
  config.key = net::Secret("0123456789abcdef0123456789abcdef");
  config.listen_host = address;
  config.host = "here";
  config.host_id = "here";
  return config;
}

inline TcpService::Config LocalSealedTcpConfig() {
  TcpService::Config config = LocalTcpConfig();
  config.encrypts = true;
  return config;
}

/// Makes groups over TCP whose ranks are threads of this process.
inline std::shared_ptr<TcpBackendMaker> LocalTcpMaker(
    std::shared_ptr<AddressExchange> exchange = std::make_shared<LocalExchange>(),
    TcpService::Config config = LocalTcpConfig()) {
  auto maker = TcpBackendMaker::Create(std::move(config), std::move(exchange));
  LOCKSTEP_CHECK(maker.ok(), "loopback can be listened on");
  return *std::move(maker);
}

/// The same with their data encrypted.
inline std::shared_ptr<TcpBackendMaker> LocalSealedTcpMaker() {
  return LocalTcpMaker(std::make_shared<LocalExchange>(), LocalSealedTcpConfig());
}

/// The same over several connections a pair.
inline std::shared_ptr<TcpBackendMaker> LocalFlowsTcpMaker(int flows) {
  TcpService::Config config = LocalTcpConfig();
  config.flows = flows;
  return LocalTcpMaker(std::make_shared<LocalExchange>(), std::move(config));
}

}  // namespace lockstep::collectives::testing

#endif  // LOCKSTEP_COLLECTIVES_HOST_TCP_LOCAL_TCP_H_
