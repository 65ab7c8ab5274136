// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_WIDE_PROCESS_WIDE_H_
#define LOCKSTEP_COLLECTIVES_HOST_WIDE_PROCESS_WIDE_H_

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "collectives/host/tcp/process_tcp.h"
#include "collectives/host/wide/wide_backend_maker.h"
#include "collectives/testing/process_gang.h"

namespace lockstep::collectives::testing {

/// For the ranks of one ProcessGang, as if they lived on `machines`, by rank: those of each share
/// memory, and reach the others by TCP.
inline ProcessGang::NewGroup OverMachines(std::vector<int> machines,
                                          CardBoard& board = CardBoard::New()) {
  std::map<int, ProcessGang::NewMaker> memory;  // by machine; before the ranks are forked
  for (const int machine : machines) {
    if (!memory.contains(machine)) memory.emplace(machine, ProcessGang::SharedMemoryMaker());
  }
  return ProcessGang::Over(
      [machines = std::move(machines), memory = std::move(memory), &board](int rank) {
        const int machine = machines[static_cast<size_t>(rank)];
        TcpService::Config config = LocalTcpConfig();
        config.memory = machine;
        return std::make_shared<WideBackendMaker>(
            LocalTcpMaker(std::make_shared<BoardExchange>(board), std::move(config)),
            memory.at(machine)(rank));
      });
}

}  // namespace lockstep::collectives::testing

#endif  // LOCKSTEP_COLLECTIVES_HOST_WIDE_PROCESS_WIDE_H_
