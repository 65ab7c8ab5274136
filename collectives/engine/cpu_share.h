// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_ENGINE_CPU_SHARE_H_
#define LOCKSTEP_COLLECTIVES_ENGINE_CPU_SHARE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/clock.h"

namespace lockstep::collectives {

/// What this process may use of its processors beyond what its affinity says, for those who choose
/// between spinning and sleeping: the quota of its cgroup and of those above it (cpu.max, or
/// cpu.cfs_quota_us of the older hierarchy), and whether it lacks processor time now: it was
/// throttled since the last look, or tasks that could run had to wait (pressure). What cannot be
/// read is no limit.
///
/// One for each backend, confined to whoever executes its ops. Looks at files, at the first Refresh
/// for the first time, so that it is asked where a wait is long anyway; between looks it costs a
/// comparison.
class CpuShare {
 public:
  /// Where to look; a test has its own.
  struct Files {
    std::string membership = "/proc/self/cgroup";
    std::string hierarchy = "/sys/fs/cgroup";
    std::string machine_pressure = "/proc/pressure/cpu";
  };

  /// Between looks: quotas change seldom, and the kernel renews its averages every two seconds.
  static constexpr base::Duration kLookEvery = std::chrono::seconds(1);
  /// Percent of the time in which somebody who could run did not, over ten seconds.
  static constexpr double kPressure = 50;
  static constexpr double kNoQuota = 1e9;

  CpuShare() : CpuShare(Files()) {}
  explicit CpuShare(Files files) : files_(std::move(files)) {}

  /// Looks again when the last look is older than kLookEvery.
  void Refresh(base::SteadyTime now) {
    if (now - looked_at_ < kLookEvery) return;
    looked_at_ = now;
    Look();
  }
  void Look();

  /// Processors that the cgroups allow on average; kNoQuota for no limit.
  double quota() const { return quota_; }
  /// The quota was used up at some time between the last two looks.
  bool throttled() const { return throttled_; }
  /// Others wait for processors that are busy.
  bool pressed() const { return pressed_; }

 private:
  void FindFolders();
  int64_t ThrottledTotal() const;

  const Files files_;
  std::vector<std::string> folders_;  // the cgroup's and those above it, as far as they can be seen
  bool new_hierarchy_ = false;        // cgroup v2
  base::SteadyTime looked_at_{};
  double quota_ = kNoQuota;
  std::optional<int64_t> throttled_total_;  // at the last look
  bool throttled_ = false;
  bool pressed_ = false;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_ENGINE_CPU_SHARE_H_
