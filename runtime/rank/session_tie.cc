// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/rank/session_tie.h"

namespace lockstep::rank {

base::Result<collectives::TcpService::Config> NetworkOf(const Tie& tie, const World& world,
                                                        const std::string& host,
                                                        const DataPath& data_path,
                                                        base::Duration timeout) {
  ASSIGN_OR_RETURN(collectives::TcpService::Config config,
                   collectives::AskForNetwork(*tie.client, world.job, host, timeout));
  config.memory = tie.node_index;  // that of its agent
  config.encrypts = data_path.encrypts;
  config.flows = data_path.flows;
  config.link = data_path.link;
  return config;
}

std::shared_ptr<collectives::AttachExchange> ExchangeOf(const Tie& tie) {
  return std::make_shared<collectives::AttachExchange>(tie.socket_path, tie.cookie);
}

}  // namespace lockstep::rank
