// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/descendants.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <utility>
#include <vector>

#include "runtime/base/errno_status.h"
#include "runtime/process/proc_scan.h"

namespace lockstep::process {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

/// Waits a little longer each time, until the limit.
class Backoff {
 public:
  explicit Backoff(base::Duration limit) : end_(clock_.Now() + limit) {}

  /// False, at once, when the limit has passed.
  bool Wait() {
    if (clock_.Now() >= end_) return false;
    const timespec pause{.tv_sec = 0, .tv_nsec = delay_.count()};
    ::nanosleep(&pause, nullptr);
    delay_ = std::min<base::Duration>(delay_ * 2, milliseconds(5));
    return true;
  }

 private:
  const base::RealClock clock_;
  const base::SteadyTime end_;
  base::Duration delay_ = microseconds(200);
};

/// Takes the statuses of all that have ended; false when no child is left, dead or alive.
bool ReapAll() {
  while (true) {
    const pid_t pid = ::waitpid(-1, nullptr, WNOHANG | __WALL);
    if (pid == 0) return true;
    if (pid < 0 && errno != EINTR) return false;
  }
}

base::Status StillThere(const std::vector<ProcStat>& survivors, base::Duration limit) {
  std::string names;
  for (const ProcStat& stat : survivors) names += (names.empty() ? "" : ", ") + stat.ToString();
  return base::DeadlineExceededError("kill processes: not dead " + base::FormatDuration(limit) +
                                     " after SIGKILL: " + names);
}

}  // namespace

base::Status BecomeSubreaper() {
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0) return base::OkStatus();
  return base::ErrnoStatus(errno, "become the subreaper of orphans: prctl");
}

base::Status KillDescendants(base::Duration limit) {
  Backoff backoff(limit);
  while (ReapAll()) {
    std::vector<ProcStat> living = DescendantsOf(::getpid(), ScanProcesses());
    std::erase_if(living, [](const ProcStat& stat) { return stat.dead(); });
    // Parents come before children, so that none can be replaced by a parent that is still to be
    // killed.
    for (const ProcStat& stat : living) SignalExactly(stat, SIGKILL);
    if (!backoff.Wait()) return ReapAll() ? StillThere(living, limit) : base::OkStatus();
  }
  return base::OkStatus();
}

base::Result<int> KillMarked(const std::string& prefix, base::Duration limit) {
  if (prefix.empty()) return base::InvalidArgumentError("kill marked processes: the mark is empty");
  Backoff backoff(limit);
  std::set<std::pair<pid_t, uint64_t>> signalled;
  while (true) {
    std::vector<ProcStat> found;
    for (ProcStat& stat : ScanProcesses()) {
      if (stat.dead() || stat.pid == ::getpid() || !MarkMatches(ReadMark(stat.pid), prefix))
        continue;
      if (SignalExactly(stat, SIGKILL)) {
        signalled.emplace(stat.pid, stat.start_ticks);
        found.push_back(std::move(stat));
      }
    }
    if (found.empty()) return static_cast<int>(signalled.size());
    if (!backoff.Wait()) return StillThere(found, limit);
  }
}

}  // namespace lockstep::process
