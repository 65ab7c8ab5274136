// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROCESS_PROC_SCAN_H_
#define LOCKSTEP_RUNTIME_PROCESS_PROC_SCAN_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep::process {

/// What /proc/PID/stat says. A pid and its start time together name one process for ever (within a
/// boot and a pid namespace); a pid alone may be another's a moment later.
struct ProcStat {
  pid_t pid = 0;
  pid_t parent = 0;
  pid_t group = 0;
  pid_t session = 0;
  char state = '?';    // R, S, D, T, Z ...
  bool execed = true;  // false from fork until its first exec
  bool kernel_thread = false;
  int threads = 1;           // those that live, and the first one even when it has ended
  uint64_t start_ticks = 0;  // since boot, in clock ticks
  std::string name;          // at most 15 bytes; may hold anything, spaces and brackets too

  /// Dead, though not yet reaped. When only its first thread has ended, the state says so too.
  bool dead() const { return threads <= 1 && (state == 'Z' || state == 'X' || state == 'x'); }
  /// "python3 (pid 17, state D)".
  std::string ToString() const;
};

/// Number of the pid namespace that this process is in: in another one, a container's say, the same
/// pids are other processes. nullopt when /proc does not tell.
std::optional<uint64_t> PidNamespace();

/// nullopt when there is no such process (any more).
std::optional<ProcStat> ReadProcStat(pid_t pid);
/// The text of a stat file; nullopt when it is not one.
std::optional<ProcStat> ParseProcStat(std::string_view text);

/// Every process that /proc shows, in no order. Costs about 10 us each. One that is made meanwhile
/// may be missing: NewestPid() tells.
std::vector<ProcStat> ScanProcesses();
/// Whether a scan shows this process itself. If not, /proc cannot be read (no descriptor is free,
/// it is not mounted), and that nobody else is in it proves nothing.
bool ShowsThisProcess(const std::vector<ProcStat>& all);
/// The number that the kernel gave out last in our pid namespace, to a process or a thread: the
/// same before and after a scan when nobody was made in between. nullopt where /proc does not tell.
std::optional<pid_t> NewestPid();

/// The processes of `all` that descend from `ancestor`, parents before children, `ancestor` itself
/// left out.
std::vector<ProcStat> DescendantsOf(pid_t ancestor, const std::vector<ProcStat>& all);

/// The name of the environment variable that marks whatever a Lockstep agent has spawned, and all
/// its descendants.
inline constexpr std::string_view kMarkVariable = "LOCKSTEP_MARK";

/// A variable of the environment with which `pid` was exec'd (one that has only been forked shows
/// its parent's); empty when it has none, when we may not look (another user's process), and when
/// the program has overwritten its environment. nullopt in the midst of an exec, some microseconds
/// in which the new environment is not in place: look again.
std::optional<std::string> ReadVariable(pid_t pid, std::string_view name);
/// The mark, likewise.
inline std::optional<std::string> ReadMark(pid_t pid) { return ReadVariable(pid, kMarkVariable); }
/// Whether an element of the mark begins with `prefix`. Elements are separated by ';': a job
/// started by a rank of another job carries both marks.
bool MarkMatches(std::string_view mark, std::string_view prefix);

/// Signals the process that `stat` describes, and no other that got its pid since: through a pidfd,
/// or where there is none by looking at the start time just before. False when it is gone or may
/// not be signalled.
bool SignalExactly(const ProcStat& stat, int signal);

}  // namespace lockstep::process

#endif  // LOCKSTEP_RUNTIME_PROCESS_PROC_SCAN_H_
