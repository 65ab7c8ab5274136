// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_BENCH_CPU_PRESSURE_H_
#define LOCKSTEP_LAUNCHER_BENCH_CPU_PRESSURE_H_

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/base/clock.h"

namespace lockstep::launcher {

/// When others use more than this share of a processor, a round says more of the machine's other
/// work than of whom it measured.
inline constexpr double kPressureMax = 0.20;

/// A round that is shorter is judged together with the time before it: the kernel's counts move in
/// steps of a scheduler's tick.
inline constexpr base::Duration kPressureWindow = std::chrono::milliseconds(200);

/// Ticks for which `cpus` (none = all) have worked for processes, or a host has kept them from us:
/// user, nice, system and steal of /proc/stat. Not what interrupts took, which are as much those of
/// the ranks' own connections. nullopt when the text has no such line. A pure function.
std::optional<int64_t> ParseBusyTicks(std::string_view stat, const std::vector<int>& cpus);
/// utime and stime of a /proc/PID/stat. A pure function.
std::optional<int64_t> ParseProcessTicks(std::string_view stat);

/// Where that comes from; a test has its own. Confined to one thread.
class CpuPressure {
 public:
  virtual ~CpuPressure() = default;
  /// Processor time that others than those we measure have used so far, of all processors that
  /// count. nullopt where the kernel does not say.
  virtual std::optional<base::Duration> UsedByOthers() = 0;
};

class ProcCpuPressure final : public CpuPressure {
 public:
  /// `ours`: the processes that are measured, and this one. `cpus`: where they run; none =
  /// anywhere.
  ProcCpuPressure(std::function<std::vector<pid_t>()> ours, std::vector<int> cpus)
      : ours_(std::move(ours)), cpus_(std::move(cpus)) {}
  std::optional<base::Duration> UsedByOthers() override;

 private:
  const std::function<std::vector<pid_t>()> ours_;
  const std::vector<int> cpus_;
};

/// What share of a processor others used in each round. Confined to one thread.
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
    base::Duration used;
  };

  const base::Clock& clock_;
  CpuPressure& pressure_;
  bool works_;
  std::deque<Mark> marks_;  // ascending; the first is the latest that is old enough for the window
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_BENCH_CPU_PRESSURE_H_
