// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_ENGINE_OP_DEADLINE_H_
#define LOCKSTEP_COLLECTIVES_ENGINE_OP_DEADLINE_H_

#include <atomic>
#include <mutex>

#include "collectives/awake_clock.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"

namespace lockstep::collectives {

/// When the op in progress must have ended: at its own deadline, or at that of an op queued behind
/// it, whichever is first. Thread-safe: whoever queues an op brings it forward while another thread
/// waits by it.
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
    const std::lock_guard<std::mutex> lock(mutex_);
    due_ = due;
  }
  void BringForward(const Due& due) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (due.at < due_.at) due_ = due;
  }
  Due due() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return due_;
  }
  /// Looks at the clock, as a waiter must every few milliseconds (AwakeClock). Negative once it has
  /// passed.
  base::Duration Left() const {
    if (ended_.load(std::memory_order_relaxed)) return base::Duration(-1);
    return due().at - clock_.Now();
  }
  /// It has passed, whatever the clock says: what is waited for cannot come any more.
  void End() { ended_.store(true, std::memory_order_relaxed); }

 private:
  AwakeClock& clock_;
  mutable std::mutex mutex_;
  Due due_;  // guarded by mutex_
  std::atomic<bool> ended_{false};
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_ENGINE_OP_DEADLINE_H_
