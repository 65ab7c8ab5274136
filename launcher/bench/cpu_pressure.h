// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_BENCH_CPU_PRESSURE_H_
#define LOCKSTEP_LAUNCHER_BENCH_CPU_PRESSURE_H_

#include <chrono>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/base/clock.h"

namespace lockstep::launcher {

/// Above this share of its time a round says more of the machine's other work than of whom it
/// measured.
inline constexpr double kPressureMax = 0.20;

/// A round that is shorter is judged together with the time before it: the kernel's count moves in
/// steps of a scheduler's tick.
inline constexpr base::Duration kPressureWindow = std::chrono::milliseconds(200);

/// How long, since the machine started, some task has waited for a processor: "total" of
/// /proc/pressure/cpu's line "some". Unlike its averages it can be told of any stretch of time.
/// nullopt when the text has no such line. A pure function.
std::optional<base::Duration> ParseCpuPressure(std::string_view text);

/// Where that comes from; a test has its own. Confined to one thread.
class CpuPressure {
 public:
  virtual ~CpuPressure() = default;
  /// nullopt where the kernel does not say (before 4.20, or built without it).
  virtual std::optional<base::Duration> Waited() = 0;
};

class ProcCpuPressure final : public CpuPressure {
 public:
  std::optional<base::Duration> Waited() override;
};

/// What share of the time of each round somebody waited. Confined to one thread.
class PressureWatch {
 public:
  /// Both outlive it. Begins to watch.
  PressureWatch(const base::Clock& clock, CpuPressure& pressure);

  /// Whether the kernel tells it.
  bool works() const { return works_; }
  /// Of the time since the last call, and at least of kPressureWindow where that much was watched.
  /// nullopt when the kernel does not tell it, or no time has passed.
  std::optional<double> TakeShare();

 private:
  struct Mark {
    base::SteadyTime at;
    base::Duration waited;
  };

  const base::Clock& clock_;
  CpuPressure& pressure_;
  bool works_;
  std::deque<Mark> marks_;  // ascending; the first is the latest that is old enough for the window
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_BENCH_CPU_PRESSURE_H_
