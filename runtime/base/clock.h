// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_BASE_CLOCK_H_
#define LOCKSTEP_RUNTIME_BASE_CLOCK_H_

#include <chrono>
#include <cstdint>
#include <string>

namespace lockstep::base {

using Duration = std::chrono::nanoseconds;
/// Monotonic: for deadlines and intervals; comparable only within one boot of one machine.
using SteadyTime = std::chrono::time_point<std::chrono::steady_clock, Duration>;
/// For people and for ordering across machines with an estimated offset; may jump.
using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;

/// Where time comes from. One RealClock exists per process, made in main; everything else borrows a
/// Clock, so that the simulator can replace it. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual SteadyTime Now() const = 0;
  virtual WallTime WallNow() const = 0;
};

class RealClock final : public Clock {
 public:
  SteadyTime Now() const override;
  WallTime WallNow() const override;
};

/// Time that moves only when told. Confined to one thread. Starts at 1 s after the epoch of either
/// clock, so that zero is never a valid reading.
class SimClock final : public Clock {
 public:
  SteadyTime Now() const override { return now_; }
  WallTime WallNow() const override { return WallTime(now_.time_since_epoch() + wall_offset_); }

  /// Never backwards.
  void AdvanceTo(SteadyTime time);
  void Advance(Duration by) { AdvanceTo(now_ + by); }
  /// Steps the wall clock alone, as an administrator or NTP does.
  void StepWall(Duration by) { wall_offset_ += by; }

 private:
  SteadyTime now_{std::chrono::seconds(1)};
  Duration wall_offset_{0};
};

/// "2026-03-01T12:00:00.123456Z".
std::string FormatUtc(WallTime time);
/// "250ms", "1.5s", "2m30s": for messages to people; three significant digits at most.
std::string FormatDuration(Duration duration);

}  // namespace lockstep::base

#endif  // LOCKSTEP_RUNTIME_BASE_CLOCK_H_
