// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_END_H_
#define LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_END_H_

#include <atomic>
#include <compare>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "collectives/engine/error_record.h"
#include "collectives/host/tcp/tcp_frames.h"
#include "collectives/host/tcp/tcp_handshake.h"
#include "collectives/host/tcp/tcp_line.h"
#include "collectives/host/tcp/tcp_members.h"
#include "collectives/host/tcp/tcp_notes.h"
#include "runtime/base/clock.h"
#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::collectives {

/// What this member was last told about another one.
struct PeerFact {
  enum class Kind : uint8_t { kNothing, kAnswered, kLeft, kLost };
  /// Why it is lost: it cannot be reached any more, or has another process; it says nothing; its
  /// process is there, and knows nothing of this group. The last two say nothing of the member:
  /// trouble of this process alone, such as that it has no descriptor left, keeps it from making a
  /// connection that ops need, or only from asking.
  enum class Loss : uint8_t { kGone, kSilent, kUnknown, kLocal, kUnasked };
  Kind kind = Kind::kNothing;
  Loss loss = Loss::kGone;
  uint64_t called_seq = 0;     // of its last collective
  uint64_t completed_seq = 0;  // ops that have ended well there; these two stay when it is lost
  bool waits = false;          // for another member
  bool failed = false;         // kLeft: with an error, which is on its way
  base::SteadyTime late_until{};
  base::SteadyTime at{};
  base::SteadyTime asked_at{};  // the question that it answers, by this end's clock
  std::string reason;           // kLost: why it cannot be reached

  bool is_unasked() const { return kind == Kind::kLost && loss == Loss::kUnasked; }
  bool is_cut_here() const { return kind == Kind::kLost && loss == Loss::kLocal; }
  bool is_our_trouble() const { return is_unasked() || is_cut_here(); }
  /// Whether it is the answer to a question that was asked at `since` or later, the news of a loss
  /// since then, or the end.
  bool Settles(base::SteadyTime since) const {
    return kind == Kind::kLeft || (kind == Kind::kLost ? at : asked_at) >= since;
  }
};

/// Where a member's threads and the service thread meet: connections that have been authenticated,
/// facts about the others, how far this member is, and the group's first error. One for each
/// member's end of a group, shared by its TcpBackend and the TcpService. Thread-safe.
class TcpEnd {
 public:
  /// Without bells nobody can sleep until there is news, and two descriptors are saved.
  enum class Bells : uint8_t { kTwo, kNone };
  explicit TcpEnd(TcpMembers members, Bells bells = Bells::kTwo);

  const TcpMembers& members() const { return members_; }

  // --- connections; each is handed over once
  struct Flow {
    int member = 0;  // the other one
    FlowPurpose purpose = FlowPurpose::kCalls;
    int line = 0;  // of those that share the data
    auto operator<=>(const Flow&) const = default;
  };
  void PutIncoming(Flow flow, TcpLine line);
  TcpLine TakeIncoming(Flow flow);
  void PutOutgoing(Flow flow, TcpLine line);
  TcpLine TakeOutgoing(Flow flow);
  /// Grows with each connection, fact and error that is put here: who saw the same number has seen
  /// all.
  uint64_t news() const { return news_.load(std::memory_order_acquire); }
  /// Readable when there is news since the last ClearBell(). For poll(). One each for collectives
  /// and transfers, whose threads differ.
  int bell(bool transfers) const { return bells_[transfers ? 1 : 0].get(); }
  void ClearBell(bool transfers);
  void Ring();

  // --- the others
  PeerFact fact(int member) const;
  void SetFact(int member, PeerFact fact);
  /// Whether that member is known to have come to the group.
  bool HasCome(int member) const;
  void SetCome(int member);

  // --- this member, told to the others
  std::atomic<uint64_t> called_seq{0};
  std::atomic<uint64_t> completed_seq{0};
  std::atomic<bool> waits{false};
  std::atomic<int64_t> late_until_ns{0};  // of a long phase, by the steady clock; 0 = none
  std::atomic<uint8_t> link{0};           // TcpLink::code() of its way to another one

  /// The service's, once this member has left: nothing more is said for it.
  std::atomic<bool> withdrawn{false};

  // --- what is told for others; see there
  TcpNotes& notes() { return notes_; }
  const TcpNotes& notes() const { return notes_; }

  // --- the first error
  /// False when there was one before, which stays; but what this one is about then fails with it.
  bool SetError(ErrorRecord record);
  /// Whether collective `seq` must fail: those before the one with the error may still end well,
  /// since everybody has done its part of them.
  bool PoisonedAt(uint64_t seq) const {
    return poisoned_from_.load(std::memory_order_acquire) <= seq;
  }
  /// Whether there is an error at all: sends and receives have no place among collectives.
  bool poisoned() const { return PoisonedAt(kHealthy - 1); }
  std::optional<ErrorRecord> error() const;
  /// Of a group with an error.
  base::Status ErrorStatus() const;
  /// Of a call that came after it.
  base::Status FailedBefore() const;

 private:
  static constexpr uint64_t kHealthy = UINT64_MAX;

  static TcpLine Take(std::map<Flow, TcpLine>& lines, Flow flow);

  const TcpMembers members_;
  const base::UniqueFd bells_[2];
  TcpNotes notes_;
  std::atomic<uint64_t> news_{0};
  std::atomic<uint64_t> poisoned_from_{kHealthy};

  mutable std::mutex mutex_;
  // Guarded by mutex_:
  std::map<Flow, TcpLine> incoming_;
  std::map<Flow, TcpLine> outgoing_;
  std::vector<PeerFact> facts_;  // by member, as the next one
  std::vector<bool> come_;
  std::optional<ErrorRecord> error_;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_END_H_
