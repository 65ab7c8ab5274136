// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_TESTS_SIM_HOST_LOOP_H_
#define LOCKSTEP_TESTS_SIM_HOST_LOOP_H_

#include <cstdint>
#include <map>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/event/sim_loop.h"

namespace lockstep::sim {

/// How far a host's clocks are from the simulation's. Nobody keeps clocks of several machines
/// alike: the steady one counts from that machine's boot, the wall clock is as wrong as it was set,
/// and both run at their own speed.
struct ClockSkew {
  base::Duration steady_ahead{0};  // not negative
  base::Duration wall_ahead{0};
  int64_t drift_ppm = 0;  // faster, or slower when negative; less than a million
};

/// Time as one host of a simulation has it. Borrows the simulation's clock, for its whole life.
/// Confined to the simulation's thread.
class HostClock final : public base::Clock {
 public:
  HostClock(const base::Clock& world, ClockSkew skew) : world_(world), skew_(skew) {}

  base::SteadyTime Now() const override;
  base::WallTime WallNow() const override;
  /// The first instant of the simulation at which Now() is not before `time`.
  base::SteadyTime WorldTimeOf(base::SteadyTime time) const;

 private:
  base::Duration Elapsed(base::Duration in_world) const;

  const base::Clock& world_;
  const ClockSkew skew_;
};

/// The simulation's loop as an agent on one host sees it: the same callbacks, times of that host.
/// Several of them share one SimLoop, which outlives them. Confined to its thread.
///
///   runs --Stop()--> stopped (SIGSTOP): nothing runs --Continue()--> what was due runs at once,
///   in the order in which it was due --> runs
class HostLoop final : public event::Loop {
 public:
  HostLoop(event::SimLoop& world, ClockSkew skew) : world_(world), clock_(world.clock(), skew) {}

  void Stop() { stopped_ = true; }
  void Continue();
  /// Stopped, or not yet through with what was due meanwhile.
  bool is_behind() const { return stopped_ || !late_.empty(); }

  const base::Clock& clock() const override { return clock_; }
  [[nodiscard]] event::Registration At(base::SteadyTime due, Callback callback) override;
  [[nodiscard]] event::Registration Watch(int fd, event::Readiness interest,
                                          ReadyCallback callback) override {
    return world_.Watch(fd, interest, std::move(callback));
  }
  void SetInterest(const event::Registration& watch, event::Readiness interest) override {
    world_.SetInterest(watch, interest);
  }
  void Post(Callback callback) override { world_.Post(std::move(callback)); }
  void Run() override { world_.Run(); }
  void Quit() override { world_.Quit(); }

 private:
  struct Timer {
    Callback callback;
    event::Registration in_world;
  };

  // Of timers; a watch is the simulation's own.
  void Cancel(uint64_t id) override;
  bool IsActive(uint64_t id) const override { return timers_.contains(id); }
  void OnDue(uint64_t id);

  event::SimLoop& world_;
  const HostClock clock_;
  std::map<uint64_t, Timer> timers_;
  uint64_t next_id_ = 1;
  bool stopped_ = false;
  std::vector<uint64_t> late_;  // due while stopped and not run yet, the first first
};

}  // namespace lockstep::sim

#endif  // LOCKSTEP_TESTS_SIM_HOST_LOOP_H_
