// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_RANK_SAMPLE_WINDOW_H_
#define LOCKSTEP_RUNTIME_RANK_SAMPLE_WINDOW_H_

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>

#include "runtime/base/clock.h"

namespace lockstep::rank {

/// How many samples a rank has processed of late: in the last ten seconds or, where it reports them
/// less often, since the report before. Of one thread at a time; owned by the session.
class SampleWindow {
 public:
  struct Window {
    uint64_t samples = 0;
    base::SteadyTime since{};
  };

  /// nullopt for the first: nobody knows how long those took.
  std::optional<Window> Add(uint64_t samples, base::SteadyTime now) {
    total_ += samples;
    while (marks_.size() > 1 && now - marks_[1].at >= kLength) marks_.pop_front();
    const bool is_first = marks_.empty();
    const Mark start = is_first ? Mark{} : marks_.front();
    if (is_first || now - marks_.back().at >= kLength / kMarks) marks_.push_back({now, total_});
    if (is_first) return std::nullopt;
    return Window{.samples = total_ - start.total, .since = start.at};
  }

 private:
  struct Mark {
    base::SteadyTime at{};
    uint64_t total = 0;
  };
  static constexpr base::Duration kLength = std::chrono::seconds(10);
  static constexpr int kMarks = 20;  // a window is at most a twentieth too long

  uint64_t total_ = 0;
  std::deque<Mark> marks_;  // oldest first
};

}  // namespace lockstep::rank

#endif  // LOCKSTEP_RUNTIME_RANK_SAMPLE_WINDOW_H_
