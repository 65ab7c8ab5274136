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
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "runtime/base/errno_status.h"
#include "runtime/process/proc_scan.h"

namespace lockstep::process {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

// Neighbours that make processes all the time must not keep us looking for ever: this is 0.2 s at
// the least.
constexpr int kScansForNothingMax = 50;

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

/// Takes them and their descendants out of `all`, in which parents come before children.
void EraseSpared(const std::vector<ProcStat>& spared, std::vector<ProcStat>& all) {
  std::set<pid_t> kept;
  std::erase_if(all, [&](const ProcStat& stat) {
    const bool named = std::any_of(spared.begin(), spared.end(), [&stat](const ProcStat& one) {
      return one.pid == stat.pid && one.start_ticks == stat.start_ticks;
    });
    if (!named && !kept.contains(stat.parent)) return false;
    kept.insert(stat.pid);
    return true;
  });
}

base::Status CannotLook(const char* what) {
  return base::UnavailableError(std::string(what) +
                                ": /proc cannot be read; is it mounted, and is a descriptor free "
                                "(ulimit -n)?");
}

struct MarkedScan {
  std::vector<ProcStat> found;  // and signalled
  bool seen = false;            // /proc could be read
  bool quiet = true;  // none was found, none was made meanwhile, none was in the midst of an exec
};

MarkedScan KillMarkedOnce(const std::string& prefix) {
  MarkedScan scan;
  const std::optional<pid_t> newest = NewestPid();
  std::vector<ProcStat> all = ScanProcesses();
  scan.seen = ShowsThisProcess(all);
  for (ProcStat& stat : all) {
    if (stat.dead() || stat.kernel_thread || stat.pid == ::getpid()) continue;
    const std::optional<std::string> mark = ReadMark(stat.pid);
    if (!mark) scan.quiet = false;
    if (mark && MarkMatches(*mark, prefix) && SignalExactly(stat, SIGKILL))
      scan.found.push_back(std::move(stat));
  }
  if (!scan.found.empty() || !newest || NewestPid() != newest) scan.quiet = false;
  return scan;
}

}  // namespace

base::Status BecomeSubreaper() {
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0) return base::OkStatus();
  return base::ErrnoStatus(errno, "become the subreaper of orphans: prctl");
}

base::Result<std::vector<ProcStat>> LivingChildren() {
  siginfo_t none{};
  if (::waitid(P_ALL, 0, &none, WEXITED | WNOHANG | WNOWAIT) != 0) return std::vector<ProcStat>();
  std::vector<ProcStat> children = ScanProcesses();
  if (!ShowsThisProcess(children)) return CannotLook("look for the children that are here already");
  std::erase_if(children,
                [self = ::getpid()](const ProcStat& stat) { return stat.parent != self; });
  return children;
}

base::Status KillDescendants(base::Duration limit, const std::vector<ProcStat>& spared) {
  Backoff backoff(limit);
  int scans_for_nothing = 0;
  while (ReapAll()) {
    const std::vector<ProcStat> all = ScanProcesses();
    const bool seen = ShowsThisProcess(all);
    std::vector<ProcStat> living = DescendantsOf(::getpid(), all);
    EraseSpared(spared, living);
    // One that forks and leaves may slip through any one look, but not without corpses.
    scans_for_nothing = seen && living.empty() ? scans_for_nothing + 1 : 0;
    if (!spared.empty() && scans_for_nothing == 2) return base::OkStatus();
    std::erase_if(living, [](const ProcStat& stat) { return stat.dead(); });
    // Parents come before children, so that none can be replaced by a parent that is still to be
    // killed.
    for (const ProcStat& stat : living) SignalExactly(stat, SIGKILL);
    if (backoff.Wait()) continue;
    if (!ReapAll()) break;
    return seen ? StillThere(living, limit) : CannotLook("kill the processes below this one");
  }
  return base::OkStatus();
}

base::Result<int> KillMarked(const std::string& prefix, base::Duration limit) {
  if (prefix.empty()) return base::InvalidArgumentError("kill marked processes: the mark is empty");
  Backoff backoff(limit);
  std::set<std::pair<pid_t, uint64_t>> signalled;
  int scans_for_nothing = 0;  // one after the other
  int quiet_scans = 0;        // of these the last, in which nobody can have been overlooked
  while (true) {
    const MarkedScan scan = KillMarkedOnce(prefix);
    if (!scan.seen) return CannotLook("kill marked processes");
    for (const ProcStat& stat : scan.found) signalled.emplace(stat.pid, stat.start_ticks);
    scans_for_nothing = scan.found.empty() ? scans_for_nothing + 1 : 0;
    quiet_scans = scan.quiet ? quiet_scans + 1 : 0;
    // Twice, for what was given its pid before the first began but was not to be seen yet.
    if (quiet_scans == 2 || scans_for_nothing == kScansForNothingMax)
      return static_cast<int>(signalled.size());
    if (!backoff.Wait()) {
      if (!scan.found.empty()) return StillThere(scan.found, limit);
      return static_cast<int>(signalled.size());
    }
  }
}

}  // namespace lockstep::process
