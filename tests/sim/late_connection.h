// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_TESTS_SIM_LATE_CONNECTION_H_
#define LOCKSTEP_TESTS_SIM_LATE_CONNECTION_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "runtime/event/loop.h"
#include "runtime/net/network.h"
#include "tests/sim/host_loop.h"

namespace lockstep::sim {

/// A connection of an agent that may be stopped: what comes meanwhile waits in the kernel, and is
/// read when the agent goes on, in the order in which it came. Owns the connection that it speaks
/// through; borrows the agent's loop. Confined to the simulation's thread.
class LateConnection final : public net::Connection {
 public:
  LateConnection(std::unique_ptr<net::Connection> inner, HostLoop& loop)
      : inner_(std::move(inner)), loop_(loop) {}

  void Start(Handlers handlers) override;
  base::Status Send(const google::protobuf::MessageLite& message) override {
    return inner_->Send(message);
  }
  void Close() override {
    closed_here_ = true;
    inner_->Close();
  }
  bool closed() const override { return inner_->closed(); }
  size_t queued_bytes() const override { return inner_->queued_bytes(); }
  const net::Peer& peer() const override { return inner_->peer(); }

 private:
  /// At once, unless the agent is stopped or something is to come before it.
  void Do(std::function<void()> what);

  const std::unique_ptr<net::Connection> inner_;
  HostLoop& loop_;
  std::map<uint64_t, event::Registration> waiting_;
  uint64_t next_ = 0;
  bool closed_here_ = false;
};

}  // namespace lockstep::sim

#endif  // LOCKSTEP_TESTS_SIM_LATE_CONNECTION_H_
