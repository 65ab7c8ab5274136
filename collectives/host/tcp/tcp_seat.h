// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_SEAT_H_
#define LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_SEAT_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "collectives/engine/backend.h"
#include "collectives/engine/cpu_share.h"
#include "collectives/host/tcp/tcp_end.h"
#include "collectives/host/tcp/tcp_frames.h"
#include "collectives/host/tcp/tcp_link.h"
#include "collectives/host/tcp/tcp_service.h"
#include "collectives/host/tcp/tcp_wait.h"
#include "runtime/base/status.h"

namespace lockstep::collectives {

/// One member's seat in a group whose members reach each other by TCP: what holds for its
/// collectives whichever way their data goes. Which of them still run, what a refused one tells the
/// others, whether all calls agree, and the first error, which is everybody's. One in each backend
/// of such groups, which owns it.
///
/// Messages take time, so members may differ about the op in which a deadline passed: one that came
/// late, when the others' calls had reached it and their error had not, ends it well, with the
/// right result, and fails in the next.
///
/// Threads: Run() and CallsAgree() from one thread at a time; the rest from any.
class TcpSeat {
 public:
  /// Whether a wait knows of all members by asking them, or only those it waits for by who has not
  /// been heard of (TcpWait::Deps).
  enum class Judging : uint8_t { kWaitedFor, kAll };

  TcpSeat(std::shared_ptr<TcpService> service, std::shared_ptr<TcpEnd> end, Judging judging);
  ~TcpSeat() { Leave(); }
  TcpSeat(const TcpSeat&) = delete;
  TcpSeat& operator=(const TcpSeat&) = delete;

  /// Tells the others that this member is gone; those that need it fail at once. To be called
  /// before its connections close: who finds one closed asks why.
  void Leave();

  const TcpMembers& members() const { return end_->members(); }
  int size() const { return members().count(); }
  int self() const { return members().self(); }
  const std::shared_ptr<TcpService>& service() const { return service_; }
  const std::shared_ptr<TcpEnd>& end() const { return end_; }

  /// Backend::Run, `body` being what the op does; it returns false when the op is over before its
  /// end.
  base::Status Run(const Op& op, base::OpSeq seq, const OpWatch& watch,
                   const std::function<bool(TcpWait&)>& body);

  /// The slowest way between members, of those that they have measured: assumed until all calls of
  /// an op have been compared, then the same on all members. From any thread.
  TcpLink link() const { return TcpLink::FromCode(link_.load(std::memory_order_relaxed)); }

  CallEntry EntryOf(const Op& op, uint64_t seq) const;
  /// Compares the calls of all members, and learns what they tell of their links. False: they
  /// differ, which is the group's error then.
  using CallOf = std::function<const CallEntry&(int member)>;
  bool CallsAgree(const CallOf& call_of, TcpWait& wait);

  // As in Backend.
  base::Status Fail(const base::Status& error, const std::vector<int>& blamed);
  void Poison(const base::Status& reason);
  void Interrupt();
  void DeclareLongPhase(base::Duration at_most);

 private:
  void FailMismatch(const CallOf& call_of, TcpWait& wait) const;
  base::Status LateError(const Op& op, uint64_t seq);
  base::Status Refuse(const Op& op, uint64_t seq);
  base::Status LeavingError() const;

  const std::shared_ptr<TcpService> service_;
  const std::shared_ptr<TcpEnd> end_;
  const Judging judging_;
  const int members_here_;  // on this machine, this one too
  const bool oversubscribed_;
  std::atomic<bool> interrupted_{false};
  std::atomic<uint8_t> link_{0};
  // Of the thread that runs collectives:
  CpuShare cpu_share_;
  bool ended_ = false;  // an op failed here
  bool left_ = false;   // of the owner
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_SEAT_H_
