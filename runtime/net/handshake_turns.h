// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_NET_HANDSHAKE_TURNS_H_
#define LOCKSTEP_RUNTIME_NET_HANDSHAKE_TURNS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>

#include "runtime/base/sequence.h"
#include "runtime/base/thread_annotations.h"
#include "runtime/event/loop.h"

namespace lockstep::net {

/// Who may compute a step of a handshake, and when: a few in each turn of the loop, in the order of
/// their asking. A step takes as long as twenty heartbeats, so a thousand nodes that come at once
/// would otherwise keep those that are in for longer than their lease. One per listener, owned by
/// it.
///
/// Nobody can hold a turn: who has nothing to compute does not ask, and a step never waits.
/// Confined to the loop's thread.
class HandshakeTurns {
 public:
  static constexpr int kStepsPerTurn = 8;  // some 3 ms
  using Step = std::function<void()>;
  enum class Kind : uint8_t { kFirst, kFurther };

  /// `after_steps` runs after those of each turn.
  HandshakeTurns(std::function<void()> after_steps, event::Loop& loop);
  ~HandshakeTurns() { seq_.AssertHeld(); }
  HandshakeTurns(const HandshakeTurns&) = delete;
  HandshakeTurns& operator=(const HandshakeTurns&) = delete;

  /// `step` runs once, from the loop, and may destroy this. Returns its number, which is not 0.
  uint64_t Ask(Kind kind, Step step);
  /// It does not run any more. No effect when it has.
  void Withdraw(uint64_t number);

  size_t first_waiting() const {
    seq_.AssertHeld();
    return first_waiting_;
  }

 private:
  struct Waiting {
    Kind kind;
    Step step;
  };
  void Run();
  Step Take(std::map<uint64_t, Waiting>::iterator which) REQUIRES(seq_);
  void Schedule() REQUIRES(seq_);

  const std::function<void()> after_steps_;
  event::Loop& loop_;
  base::Sequence seq_;
  std::map<uint64_t, Waiting> waiting_ GUARDED_BY(seq_);  // by number: in the order of asking
  size_t first_waiting_ GUARDED_BY(seq_) = 0;
  uint64_t last_number_ GUARDED_BY(seq_) = 0;
  event::Registration next_ GUARDED_BY(seq_);
  /// Expires with this; for Run(), which calls a step.
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
};

}  // namespace lockstep::net

#endif  // LOCKSTEP_RUNTIME_NET_HANDSHAKE_TURNS_H_
