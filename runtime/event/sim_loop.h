// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_EVENT_SIM_LOOP_H_
#define LOCKSTEP_RUNTIME_EVENT_SIM_LOOP_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>

#include "runtime/base/clock.h"
#include "runtime/base/sequence.h"
#include "runtime/base/thread_annotations.h"
#include "runtime/event/loop.h"

namespace lockstep::event {

/// A loop in simulated time, for tests: a whole job runs in one thread, the same callbacks in the
/// same order each time, and an hour passes as fast as its callbacks run. Time stands still while
/// anything can run and then jumps to the nearest timer. Descriptors are mere numbers whose
/// readiness the test sets. Confined to one thread, Post() and Quit() too.
///
///   SimLoop loop;
///   auto timer = loop.After(std::chrono::hours(1), [&] { fired = true; });
///   EXPECT_TRUE(loop.RunUntil([&] { return fired; }, std::chrono::hours(2)));
class SimLoop final : public Loop {
 public:
  SimLoop() = default;
  ~SimLoop() override;

  const base::Clock& clock() const override { return clock_; }
  /// To step the wall clock, or to let time pass inside a callback.
  base::SimClock& sim_clock() { return clock_; }

  [[nodiscard]] Registration At(base::SteadyTime due, Callback callback) override;
  [[nodiscard]] Registration Watch(int fd, Readiness interest, ReadyCallback callback) override;
  void SetInterest(const Registration& watch, Readiness interest) override;
  void Post(Callback callback) override;
  /// Aborts when nothing is left that could ever run: a real loop would sleep for ever.
  void Run() override;
  void Quit() override;

  /// Runs until `done` holds (asked before each callback) or `timeout` of simulated time has
  /// passed; tells whether it holds. Aborts after ten million callbacks at one instant, which is a
  /// live-lock.
  bool RunUntil(const std::function<bool()>& done, base::Duration timeout);
  /// Runs all that happens within `time`, which then has passed.
  void RunFor(base::Duration time);

  /// What a pretended descriptor is from now on; stays until set again, and is reported while
  /// someone is interested.
  void SetReady(int fd, Readiness readiness);

 private:
  struct Watched {
    int fd = -1;
    Readiness interest;
    ReadyCallback callback;
  };
  using TimerKey = std::pair<base::SteadyTime, uint64_t>;

  void Cancel(uint64_t id) override;
  bool IsActive(uint64_t id) const override;

  /// Runs one callback; moves time on, at most to `limit`, when none can run now. False when none
  /// can until then.
  bool Step(base::SteadyTime limit) REQUIRES(seq_);
  bool RunPosted() REQUIRES(seq_);
  bool RunReady() REQUIRES(seq_);
  bool RunTimer() REQUIRES(seq_);
  void CountAgainstLivelock() REQUIRES(seq_);

  base::SimClock clock_;
  base::Sequence seq_;
  std::map<uint64_t, Watched> watches_ GUARDED_BY(seq_);  // ordered: turns must replay
  std::map<int, Readiness> ready_ GUARDED_BY(seq_);
  std::map<TimerKey, Callback> timers_ GUARDED_BY(seq_);
  std::unordered_map<uint64_t, base::SteadyTime> timer_due_ GUARDED_BY(seq_);
  std::deque<Callback> posted_ GUARDED_BY(seq_);
  uint64_t next_id_ GUARDED_BY(seq_) = 1;
  uint64_t last_delivered_ GUARDED_BY(seq_) = 0;  // descriptors take turns
  int turn_ GUARDED_BY(seq_) = 0;                 // so do posts, descriptors and timers
  int64_t callbacks_at_this_instant_ GUARDED_BY(seq_) = 0;
  bool running_ GUARDED_BY(seq_) = false;
  bool quit_ GUARDED_BY(seq_) = false;
};

}  // namespace lockstep::event

#endif  // LOCKSTEP_RUNTIME_EVENT_SIM_LOOP_H_
