// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_DIAGNOSIS_LOSS_METER_H_
#define LOCKSTEP_LAUNCHER_DIAGNOSIS_LOSS_METER_H_

#include <chrono>
#include <cstdint>
#include <deque>

#include "runtime/base/clock.h"
#include "runtime/process/tcp_counters.h"

namespace lockstep::launcher {

/// Whether a machine's network has lately lost packets, by its kernel's counters as they were at
/// each look: also of a network that has done so for two seconds only, and of one that did so a
/// minute ago. One in each RankLooks. Confined to one thread.
class LossMeter {
 public:
  static constexpr base::Duration kLately = std::chrono::seconds(60);
  static constexpr base::Duration kLooksApart = std::chrono::milliseconds(200);  // at least
  /// In less, or of fewer segments, a few losses are what any network has now and then; and in the
  /// first seconds after a cut little else is sent than what nobody answers.
  static constexpr base::Duration kLeastTime = std::chrono::seconds(2);
  static constexpr uint64_t kLeastSent = 20;

  /// TCP segments of the time, up to now, of whose segments the greatest share was lost.
  struct Losses {
    uint64_t sent = 0;
    uint64_t lost = 0;
    bool operator==(const Losses&) const = default;
  };

  void Clear() { looks_.clear(); }
  bool IsDue(base::SteadyTime now) const {
    return looks_.empty() || now - looks_.back().time >= kLooksApart;
  }
  void Look(base::SteadyTime now, const process::TcpCounters& counters);
  /// `in_vain`: segments that were sent again and have not arrived yet, which may never. All else
  /// that was sent again had been lost. Less than `least` lost in any time: zeros.
  Losses Worst(const process::TcpCounters& counters, uint64_t in_vain, uint64_t least) const;

 private:
  struct At {
    base::SteadyTime time;
    process::TcpCounters counters;
  };
  std::deque<At> looks_;  // of kLately, the oldest first
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_DIAGNOSIS_LOSS_METER_H_
