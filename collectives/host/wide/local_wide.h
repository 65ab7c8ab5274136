// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_WIDE_LOCAL_WIDE_H_
#define LOCKSTEP_COLLECTIVES_HOST_WIDE_LOCAL_WIDE_H_

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "collectives/host/shm/local_segments.h"
#include "collectives/host/shm/shm_backend_maker.h"
#include "collectives/host/tcp/local_tcp.h"
#include "collectives/host/wide/wide_backend_maker.h"

namespace lockstep::collectives::testing {

/// Makes groups of ranks that are threads of this process, as if they lived on several machines,
/// each of which has a TcpService of its own. Thread-safe.
class LocalWideMaker final : public BackendMaker {
 public:
  /// `machines`: by world rank; ranks beyond live on the last one. `flows`: connections of a pair.
  explicit LocalWideMaker(std::vector<int> machines, int flows = 1)
      : machines_(std::move(machines)) {
    const auto exchange = std::make_shared<LocalExchange>();
    const auto memory = std::make_shared<ShmBackendMaker>(std::make_shared<LocalSegments>());
    for (const int machine : machines_) {
      if (makers_.contains(machine)) continue;
      TcpService::Config config = LocalTcpConfig();
      config.memory = machine;
      config.flows = flows;
      makers_.emplace(machine, std::make_shared<WideBackendMaker>(
                                   LocalTcpMaker(exchange, std::move(config)), memory));
    }
  }

  base::Result<std::unique_ptr<Backend>> Make(const GroupSpec& spec,
                                              const OpDeadline& deadline) override {
    const base::Rank self = spec.world_ranks[static_cast<size_t>(spec.rank.value())];
    const auto rank = static_cast<size_t>(self.value());
    const int machine = rank < machines_.size() ? machines_[rank] : machines_.back();
    return makers_.at(machine)->Make(spec, deadline);
  }

 private:
  const std::vector<int> machines_;
  std::map<int, std::shared_ptr<WideBackendMaker>> makers_;  // by machine
};

}  // namespace lockstep::collectives::testing

#endif  // LOCKSTEP_COLLECTIVES_HOST_WIDE_LOCAL_WIDE_H_
