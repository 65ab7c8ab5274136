// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_TRANSFERS_H_
#define LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_TRANSFERS_H_

#include <array>
#include <chrono>
#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "collectives/engine/backend.h"
#include "collectives/host/tcp/tcp_end.h"
#include "collectives/host/tcp/tcp_flows.h"
#include "collectives/host/tcp/tcp_frames.h"
#include "collectives/host/tcp/tcp_service.h"
#include "runtime/base/clock.h"

namespace lockstep::collectives {

/// Sends and receives: each direction of each pair has a connection of its own, so that one that
/// waits keeps up no other, and no collective. A send has ended when the kernel has its bytes; they
/// go straight between the callers' buffers and the sockets. What is sent to oneself waits in
/// memory.
///
/// One in each TcpBackend, which owns it. Confined to the thread that moves transfers.
class TcpTransfers {
 public:
  TcpTransfers(std::shared_ptr<TcpService> service, std::shared_ptr<TcpEnd> end);

  /// Backend::Advance and AwaitTransfers.
  bool Advance(Moving& moving);
  void Await(base::Duration at_most);

 private:
  /// One direction of a pair.
  struct Lane {
    std::array<std::byte, sizeof(FrameHeader)> header{};
    size_t header_bytes = 0;  // that are through
    bool closed = false;
    bool asked = false;
    base::SteadyTime since{};  // when it began to wait
  };

  bool AdvanceSelf(Moving& moving);
  /// Bytes that passed.
  size_t Push(Moving& moving, Lane& lane);
  size_t Pull(Moving& moving, Lane& lane);
  size_t PullHeader(Moving& moving, Lane& lane, TcpFlow& flow);
  void Closed(Moving& moving, Lane& lane, const TcpFlow& flow);
  bool IsOver(const Moving& moving) const;
  /// When nothing moves: whether the other end is gone.
  void LookForIt(Moving& moving, Lane& lane);
  base::Status Raise(base::Code code, base::FailureClass failure_class, std::string message,
                     std::vector<int> blamed);
  std::string Describe(const Moving& moving) const;

  const std::shared_ptr<TcpService> service_;
  const std::shared_ptr<TcpEnd> end_;
  TcpFlows flows_;
  base::RealClock clock_;
  std::map<std::pair<int, bool>, Lane> lanes_;  // by member and whether it receives
  std::map<int, short> blocked_;                // descriptors and what they wait for
  std::deque<std::pair<Dtype, std::vector<std::byte>>> to_self_;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_TRANSFERS_H_
