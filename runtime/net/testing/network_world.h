// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_NET_TESTING_NETWORK_WORLD_H_
#define LOCKSTEP_RUNTIME_NET_TESTING_NETWORK_WORLD_H_

#include <functional>
#include <memory>
#include <ostream>
#include <string>

#include "runtime/base/clock.h"
#include "runtime/event/loop.h"
#include "runtime/net/network.h"

namespace lockstep::net::testing {

/// What network_contract_test.cc needs of an implementation: two nodes of one job, and one of
/// another, all on one loop. Confined to one thread.
class NetworkWorld {
 public:
  virtual ~NetworkWorld() = default;

  virtual event::Loop& loop() = 0;
  /// The networks of nodes 0 and 1 of the job.
  virtual Network& network(int node) = 0;
  /// Node 1 as somebody who does not belong to the job; null where nobody is refused (plain TCP).
  virtual Network* stranger() = 0;
  /// What node 1 connects to when node 0 listens on every address.
  virtual std::string host_of_node_0() = 0;
  /// What node 0 sees as the name of node 1's connection: "node-1", or "" (network.h, Peer).
  virtual std::string name_of_node_1() = 0;
  /// Runs the loop until `done` holds; false when `timeout` of the loop's clock has passed first.
  virtual bool RunUntil(const std::function<bool()>& done, base::Duration timeout) = 0;
};

struct NetworkKind {
  std::string name;  // as a test's name: letters and digits
  std::function<std::unique_ptr<NetworkWorld>()> make;

  friend void PrintTo(const NetworkKind& kind, std::ostream* out) { *out << kind.name; }
};

}  // namespace lockstep::net::testing

#endif  // LOCKSTEP_RUNTIME_NET_TESTING_NETWORK_WORLD_H_
