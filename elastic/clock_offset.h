// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_ELASTIC_CLOCK_OFFSET_H_
#define LOCKSTEP_ELASTIC_CLOCK_OFFSET_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "runtime/base/clock.h"

namespace lockstep::elastic {

/// How far another host's clock is ahead of ours, from questions and answers (Cristian's
/// algorithm): the answer was written somewhere between asking and hearing it, so the offset is
/// known to half a round trip, and the fastest of the last few exchanges decides. When a clock is
/// stepped, the exchanges before that contradict those after it and are forgotten. Wall clocks or
/// steady ones, told as time since whatever either counts from. A value; no clock of its own.
class ClockOffset {
 public:
  struct Estimate {
    base::Duration offset{0};      // theirs minus ours
    base::Duration error{0};       // at most this far from the truth when it was measured
    base::WallTime measured_at{};  // by our clock
  };

  /// One exchange: our clock when we asked and when the answer came, theirs when they answered.
  /// Ignored when ours went backwards in between.
  void Observe(base::WallTime asked_at, base::WallTime answered_at, base::WallTime heard_at);

  /// Of the last kExchanges; nullopt before the first.
  std::optional<Estimate> Get() const;
  /// What is known best at `now`: two clocks that nobody disciplines drift apart meanwhile, by up
  /// to kDriftPpm, and the error grows by that.
  std::optional<Estimate> GetAt(base::WallTime now) const;

  /// Whether `now` says notably more than `before`, which somebody was told: it lies outside of
  /// what that said, by more than kNotable, or is known twice as well.
  static bool IsNews(const Estimate& before, const Estimate& now);
  /// Finer than that people do not compare what happened on two hosts.
  static constexpr base::Duration kNotable = std::chrono::milliseconds(1);

  /// Of one clock against another: Linux slews its clocks by 500 ppm at most, either way.
  static constexpr int64_t kDriftPpm = 1000;
  /// 4 s of heartbeats: clocks that are disciplined drift by a few microseconds within that.
  static constexpr size_t kExchanges = 16;

 private:
  std::deque<Estimate> last_;
};

}  // namespace lockstep::elastic

#endif  // LOCKSTEP_ELASTIC_CLOCK_OFFSET_H_
