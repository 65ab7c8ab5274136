// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_SEATED_BACKEND_H_
#define LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_SEATED_BACKEND_H_

#include <memory>
#include <vector>

#include "collectives/engine/backend.h"
#include "collectives/host/tcp/tcp_end.h"
#include "collectives/host/tcp/tcp_seat.h"
#include "collectives/host/tcp/tcp_service.h"
#include "collectives/host/tcp/tcp_transfers.h"

namespace lockstep::collectives {

/// What is the same in all backends whose members reach each other by TCP: sends, receives, and
/// failures. The base of TcpBackend and WideBackend, whose destructors call Leave() first, before
/// any connection closes. Threads: as Backend.
class TcpSeatedBackend : public Backend {
 public:
  TcpSeatedBackend(const TcpSeatedBackend&) = delete;
  TcpSeatedBackend& operator=(const TcpSeatedBackend&) = delete;

  const Capabilities& capabilities() const override { return capabilities_; }
  bool Advance(Moving& moving) override { return transfers_.Advance(moving); }
  void AwaitTransfers(base::Duration at_most) override { transfers_.Await(at_most); }
  base::Status Fail(const base::Status& error, const std::vector<int>& blamed) override {
    return seat_.Fail(error, blamed);
  }
  void Poison(const base::Status& reason) override { seat_.Poison(reason); }
  void Interrupt() override { seat_.Interrupt(); }
  void DeclareLongPhase(base::Duration at_most) override { seat_.DeclareLongPhase(at_most); }

 protected:
  TcpSeatedBackend(const Capabilities& capabilities, const std::shared_ptr<TcpService>& service,
                   const std::shared_ptr<TcpEnd>& end, TcpSeat::Judging judging)
      : capabilities_(capabilities), seat_(service, end, judging), transfers_(service, end) {}

  const Capabilities capabilities_;
  TcpSeat seat_;
  TcpTransfers transfers_;  // of the thread that moves transfers
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_SEATED_BACKEND_H_
