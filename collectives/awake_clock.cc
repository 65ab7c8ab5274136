// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/awake_clock.h"

#include <algorithm>

namespace lockstep::collectives {

namespace {
// No reading comes after it: whoever meets it takes the lock.
constexpr base::SteadyTime kPauseIsCounted = base::SteadyTime::max();
}  // namespace

AwakeTime AwakeClock::At(base::SteadyTime now) {
  const base::SteadyTime last = last_look_.load(std::memory_order_acquire);
  const base::Duration paused = paused_.load(std::memory_order_acquire);
  if (now >= last && now - last < kUnremembered &&
      last_look_.load(std::memory_order_relaxed) == last) {
    return AwakeTime(now.time_since_epoch() - paused);
  }
  return Look(now);
}

AwakeTime AwakeClock::Look(base::SteadyTime now) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const base::SteadyTime last = last_look_.load(std::memory_order_relaxed);
  base::Duration paused = paused_.load(std::memory_order_relaxed);
  if (now - last > kPause) {
    paused += now - last - kPause;
    last_look_.store(kPauseIsCounted, std::memory_order_release);
    paused_.store(paused, std::memory_order_release);
  }
  // A thread may come late with what it read, when others have counted a pause since.
  const base::SteadyTime latest = std::max(last, now);
  last_look_.store(latest, std::memory_order_release);
  return AwakeTime(latest.time_since_epoch() - paused);
}

}  // namespace lockstep::collectives
