// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_TESTS_SIM_STRANGER_H_
#define LOCKSTEP_TESTS_SIM_STRANGER_H_

#include <memory>
#include <string>

#include "runtime/net/endpoint.h"
#include "runtime/net/network.h"
#include "runtime/proto/agent.pb.h"
#include "tests/sim/world.h"

namespace lockstep::sim {

/// Somebody who comes to a job's coordinator without being one of its agents: of another job, of an
/// old one of the same name, with another node's certificate, or without any manners. Whatever it
/// says of the job's ranks, nothing of it may act. Owned by the simulation.
class Stranger {
 public:
  Stranger(World& world, net::Endpoint coordinator);
  Stranger(const Stranger&) = delete;
  Stranger& operator=(const Stranger&) = delete;

  /// It must never be.
  bool was_let_in() const { return was_let_in_; }

 private:
  void Speak(std::unique_ptr<net::Connection> made);
  proto::FromAgent FalseHello();
  proto::FromAgent FalseNews();

  World& world_;
  const std::unique_ptr<net::Network> network_;
  std::unique_ptr<net::Connecting> connecting_;
  std::unique_ptr<net::Connection> connection_;
  bool was_let_in_ = false;
};

}  // namespace lockstep::sim

#endif  // LOCKSTEP_TESTS_SIM_STRANGER_H_
