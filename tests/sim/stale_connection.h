// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_TESTS_SIM_STALE_CONNECTION_H_
#define LOCKSTEP_TESTS_SIM_STALE_CONNECTION_H_

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "runtime/base/random.h"
#include "runtime/net/network.h"

namespace lockstep::sim {

/// A connection that now and then says again what it said in an old round: orders to ranks on one
/// side, news of them on the other. Nothing of it may act. Owns the connection that it speaks
/// through; borrows `random`. Confined to the simulation's thread.
class StaleConnection final : public net::Connection {
 public:
  StaleConnection(std::unique_ptr<net::Connection> inner, base::Random& random)
      : inner_(std::move(inner)), random_(random) {}

  void Start(Handlers handlers) override { inner_->Start(std::move(handlers)); }
  base::Status Send(const google::protobuf::MessageLite& message) override;
  void Close() override { inner_->Close(); }
  bool closed() const override { return inner_->closed(); }
  size_t queued_bytes() const override { return inner_->queued_bytes(); }
  const net::Peer& peer() const override { return inner_->peer(); }

 private:
  struct Said {
    uint32_t round = 0;
    std::unique_ptr<google::protobuf::MessageLite> message;
  };

  const std::unique_ptr<net::Connection> inner_;
  base::Random& random_;
  std::deque<Said> said_;  // bounded
};

}  // namespace lockstep::sim

#endif  // LOCKSTEP_TESTS_SIM_STALE_CONNECTION_H_
