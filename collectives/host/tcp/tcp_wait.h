// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_WAIT_H_
#define LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_WAIT_H_

#include <poll.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "collectives/engine/backend.h"
#include "collectives/engine/cpu_share.h"
#include "collectives/engine/error_record.h"
#include "collectives/engine/op.h"
#include "collectives/host/tcp/tcp_end.h"
#include "collectives/host/tcp/tcp_service.h"
#include "runtime/base/clock.h"
#include "runtime/base/status.h"

namespace lockstep::collectives {

/// How one collective waits and gives up. Who moves its bytes calls Idle() when nothing moves: that
/// looks again at once for some microseconds, because a core that sleeps costs more than a small op
/// (less long where CpuShare says that processors are scarce); then it sleeps in poll(), asks the
/// members that are missing how far they are, and fails the op when one of them is gone or the
/// deadline has passed.
///
/// One for each op, on the stack of its thread, which alone may call it.
class TcpWait {
 public:
  enum class Phase : uint8_t { kArrival, kData };

  /// What is waited for; filled only when a wait has become long.
  struct Wants {
    std::vector<pollfd> fds;
    std::vector<int> missing;  // members without whom the op does not go on
    std::vector<int> direct;   // those of them whose own connection is waited for
  };

  struct Deps {
    TcpService& service;
    const std::shared_ptr<TcpEnd>& end;
    const std::atomic<bool>& interrupted;
    int members_here;     // on this machine, whose quota they share
    bool oversubscribed;  // this machine has fewer processors than members
    CpuShare& cpu_share;
    /// Who is waited for waits itself for members that this one does not deal with, so that all are
    /// asked whether they are there, and how far, once the deadline has passed.
    bool judges_all = false;
  };

  TcpWait(const Deps& deps, const Op& op, uint64_t seq, const OpWatch& watch);
  ~TcpWait();
  TcpWait(const TcpWait&) = delete;
  TcpWait& operator=(const TcpWait&) = delete;

  const Op& op() const { return op_; }
  uint64_t seq() const { return seq_; }
  const OpWatch& watch() const { return watch_; }
  /// With the group's error or an interruption.
  bool Over() const;

  /// Something moved.
  void Moved() { since_ = base::SteadyTime(); }
  /// A connection with `member` has ended, or, where `fault` says so, has brought what that did not
  /// send.
  void Closed(int member, const base::Status& fault);
  /// False: the op is over, with the group's error or an interruption. `fill` says what is waited
  /// for, when that is asked.
  template <class Fill>
  bool Idle(Phase phase, const Fill& fill) {
    if (Over()) return false;
    if (LooksAgain()) return true;
    Wants wants;
    fill(wants);
    return IdleLong(phase, wants);
  }

  /// A look of a long wait for `member` that goes on elsewhere. False: the op is over.
  bool Tend(Phase phase, int member);

  /// Makes an error of this op the group's, on all members.
  void Fail(base::Code code, base::FailureClass failure_class, std::string message,
            std::vector<ErrorRecord::Blamed> blamed);
  /// The same, of what every member finds for itself: nobody need be told.
  void FailAlike(std::string message, std::vector<ErrorRecord::Blamed> blamed);
  void FailProtocol(int member, const base::Status& finding);
  /// "all_reduce(f32, sum, 4), op 7 of group world".
  std::string Describe() const;

 private:
  ErrorRecord RecordOf(base::Code code, base::FailureClass failure_class, std::string message,
                       std::vector<ErrorRecord::Blamed> blamed) const;
  bool LooksAgain();
  bool Yields() const { return deps_.oversubscribed || deps_.cpu_share.pressed(); }
  base::Duration SpinTime() const;
  bool IdleLong(Phase phase, Wants& wants);
  bool Look(Phase phase, const Wants& wants);
  void AskOnce(const std::vector<int>& members);
  bool FailGone(Phase phase, const std::vector<int>& missing, const std::vector<int>& direct);
  void FailHere(int member, const std::string& reason);
  bool JudgeDeadline(Phase phase, const Wants& wants);
  bool AllHaveAnswered(base::SteadyTime now);
  std::vector<int> Questionable(Phase phase, const Wants& wants) const;
  std::vector<int> LateInArrival(const std::vector<int>& members) const;
  std::vector<int> LateInData() const;
  void FailDeadline(Phase phase, const std::vector<int>& late);
  void FailUnasked(const std::vector<int>& waited_for);
  std::string DescribeDeadline() const;
  void Ask(std::vector<int> members);
  std::vector<int> Others() const;

  const Deps deps_;
  const TcpMembers& members_;
  const Op& op_;
  const uint64_t seq_;
  const OpWatch& watch_;
  base::RealClock clock_;

  base::SteadyTime since_{};  // when it began to wait
  int told_ = -1;             // of on_long_wait
  std::set<int> asked_;
  base::SteadyTime judged_at_{};       // when questions first went out, the deadline having passed
  base::SteadyTime asked_at_{};        // when they last did
  base::SteadyTime judge_again_at_{};  // while the late ones are in a long phase
  std::vector<int> questioned_;
  size_t acquitted_ = 0;                    // of all others, when all are asked
  std::map<int, base::SteadyTime> closed_;  // by member
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_WAIT_H_
