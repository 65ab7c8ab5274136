// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_AWAKE_CLOCK_H_
#define LOCKSTEP_COLLECTIVES_AWAKE_CLOCK_H_

#include <atomic>
#include <chrono>
#include <mutex>

#include "runtime/base/clock.h"

namespace lockstep::collectives {

/// Time that passes only while this process runs, for deadlines about other processes: a job that
/// was stopped (Ctrl-Z, a freezer) and continued finds as much of its deadlines left as before.
///
/// The steady clock goes on while a process is stopped, and nothing tells the process that it was.
/// So a deadline's keeper looks at this clock often (every 10 ms in a wait), and when two looks lie
/// further apart than kPause, only kPause of the time between them passed here: a machine so slow
/// that no look comes sooner still reaches its deadlines. When no deadline is kept, nobody need
/// look.
///
/// A time of this clock means nothing to another one, hence the type. Thread-safe.
class AwakeClock {
 public:
  using duration = base::Duration;  // these names are std::chrono's
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<AwakeClock, base::Duration>;
  static constexpr bool is_steady = false;

  /// Fifty times the longest sleep between two looks; a scheduler's delays stay below on all but
  /// hopeless machines.
  static constexpr base::Duration kPause = std::chrono::milliseconds(500);

  /// `clock` outlives this.
  explicit AwakeClock(const base::Clock& clock) : clock_(clock), last_look_(clock.Now()) {}

  time_point Now() { return At(clock_.Now()); }
  /// The time at `now`, which the caller has just read from the steady clock: a look, too.
  time_point At(base::SteadyTime now);

 private:
  time_point Look(base::SteadyTime now);

  /// A look so soon after another one need not be remembered: it costs three loads. Far below
  /// kPause.
  static constexpr base::Duration kUnremembered = std::chrono::milliseconds(1);

  const base::Clock& clock_;

  std::mutex mutex_;
  // Written under mutex_, read also without: a look that is the same before and after is of that
  // pause.
  std::atomic<base::SteadyTime> last_look_;
  std::atomic<base::Duration> paused_{base::Duration(0)};
};

using AwakeTime = AwakeClock::time_point;

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_AWAKE_CLOCK_H_
