// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_CALLS_H_
#define LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_CALLS_H_

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "collectives/host/tcp/tcp_circle.h"
#include "collectives/host/tcp/tcp_end.h"
#include "collectives/host/tcp/tcp_flows.h"
#include "collectives/host/tcp/tcp_frames.h"
#include "collectives/host/tcp/tcp_wait.h"

namespace lockstep::collectives {

/// The exchange that every collective begins with, and small ones end with: every member of a
/// circle gets every member's call, with its input when that is small. So all of them see the same
/// calls, and find the same fault in them, before a byte is reduced.
///
/// Rounds k = 0, 1 ... of Bruck's all-gather: with d = 2^k the member at position p sends the calls
/// of [p, p + min(d, n - d)) to p - d, and gets those that follow from p + d. After ceil(log2 n)
/// rounds it has all n.
///
/// One in each TcpBackend, which owns it; its buffers live on from op to op. Confined to the thread
/// that runs collectives.
class TcpCalls {
 public:
  /// `flows` outlives this.
  TcpCalls(std::shared_ptr<TcpEnd> end, TcpFlows& flows);

  /// `mine` goes out with `payload`, which must stay as it is until the return. `meanwhile` runs
  /// once, when the first frame is out. False: the op is over.
  bool Exchange(const TcpCircle& circle, const CallEntry& mine, std::span<const std::byte> payload,
                TcpWait& wait, const std::function<void()>& meanwhile);

  /// After an Exchange(), until the next; by position in its circle.
  const CallEntry& call(int position) const { return calls_[static_cast<size_t>(position)].call; }
  std::span<const std::byte> payload(int position) const {
    return calls_[static_cast<size_t>(position)].payload;
  }

 private:
  struct Known {
    CallEntry call;
    std::span<const std::byte> payload;  // the caller's, or `kept`
    std::vector<std::byte> kept;
    bool known = false;
  };
  /// Bytes of a member that are not parsed yet: it may be an op ahead.
  struct Inbox {
    std::vector<std::byte> bytes;
    size_t begin = 0;
    size_t end = 0;
  };
  enum class Outcome : uint8_t { kNothing, kMoved, kDone, kFailed };

  void Compose(const TcpCircle& circle, int count, const TcpWait& wait);
  Outcome Send(int to, TcpWait& wait);
  Outcome Receive(const TcpCircle& circle, int from, int count, TcpWait& wait);
  Outcome Parse(const TcpCircle& circle, int from, int count, TcpWait& wait);

  const std::shared_ptr<TcpEnd> end_;
  TcpFlows& flows_;
  std::vector<Known> calls_;    // by position
  std::vector<Inbox> inboxes_;  // by member
  // Of the frame that goes out:
  FrameHeader header_;
  std::vector<iovec> pieces_;
  size_t first_piece_ = 0;  // that is not out yet
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_CALLS_H_
