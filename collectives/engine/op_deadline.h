// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_ENGINE_OP_DEADLINE_H_
#define LOCKSTEP_COLLECTIVES_ENGINE_OP_DEADLINE_H_

#include <atomic>
#include <cstdint>

#include "collectives/awake_clock.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"

namespace lockstep::collectives {

/// When the op in progress must have ended: at its own deadline, or at that of an op queued behind
/// it, whichever is first. Whoever queues an op brings it forward while another thread waits by it:
/// any thread may read, one at a time may write (in a queue: under its mutex). Setting it is five
/// stores, since every op does.
class OpDeadline {
 public:
  struct Due {
    AwakeTime at{};
    base::OpSeq seq;            // whose deadline it is; 0 = that of joining the group
    base::Duration timeout{0};  // its whole time, for messages
  };

  /// `clock` outlives this.
  explicit OpDeadline(AwakeClock& clock) : clock_(clock) {}

  void Set(const Due& due) {
    // As in the recorder: release stores, so that none can be seen before the odd version.
    const uint64_t version = version_.load(std::memory_order_relaxed);
    version_.store(version + 1, std::memory_order_relaxed);
    at_.store(due.at, std::memory_order_release);
    seq_.store(due.seq.value(), std::memory_order_release);
    timeout_.store(due.timeout, std::memory_order_release);
    version_.store(version + 2, std::memory_order_release);
  }
  void BringForward(const Due& due) {
    if (due.at < at_.load(std::memory_order_relaxed)) Set(due);
  }
  Due due() const {
    while (true) {
      const uint64_t version = version_.load(std::memory_order_acquire);
      const Due due{.at = at_.load(std::memory_order_acquire),
                    .seq = base::OpSeq(seq_.load(std::memory_order_acquire)),
                    .timeout = timeout_.load(std::memory_order_acquire)};
      if (version % 2 == 0 && version_.load(std::memory_order_relaxed) == version) return due;
    }
  }
  /// Looks at the clock, as a waiter must every few milliseconds (AwakeClock). Negative once it has
  /// passed.
  base::Duration Left() const {
    if (ended_.load(std::memory_order_relaxed)) return base::Duration(-1);
    return at_.load(std::memory_order_relaxed) - clock_.Now();
  }
  /// Which others of the same call go by, too.
  AwakeClock& clock() const { return clock_; }
  /// It has passed, whatever the clock says: what is waited for cannot come any more.
  void End() { ended_.store(true, std::memory_order_relaxed); }

 private:
  AwakeClock& clock_;
  std::atomic<uint64_t> version_{0};  // odd while the three below change
  std::atomic<AwakeTime> at_{};
  std::atomic<uint64_t> seq_{0};
  std::atomic<base::Duration> timeout_{};
  std::atomic<bool> ended_{false};
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_ENGINE_OP_DEADLINE_H_
