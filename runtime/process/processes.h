// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROCESS_PROCESSES_H_
#define LOCKSTEP_RUNTIME_PROCESS_PROCESSES_H_

#include <sys/resource.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/result.h"

namespace lockstep::process {

/// A descriptor of ours that the child gets under a number of its choice.
struct FdMapping {
  int parent_fd = -1;
  int child_fd = -1;
};

struct ResourceLimit {
  int resource = 0;  // RLIMIT_*
  rlimit value{};
};

/// Everything a child starts with. It gets exactly `fds` (0, 1 and 2 are /dev/null when not
/// mapped), an empty signal mask, default dispositions (an inherited SIG_IGN for HUP stays, as
/// nohup's users expect), its own session, and SIGKILL when the spawning thread's process dies.
struct SpawnSpec {
  std::string name;  // for messages and the cgroup: "rank-3", [a-z0-9-] only
  // argv; [0] is looked up on PATH of `environment` unless it has a slash.
  std::vector<std::string> arguments;
  std::vector<std::string> environment;  // "KEY=VALUE", complete: nothing is inherited
  std::string working_directory;         // "" = ours
  std::vector<FdMapping> fds;
  std::vector<ResourceLimit> limits;
  std::optional<mode_t> umask;
  // The slave side of a pty, which becomes the session's terminal.
  std::optional<int> controlling_terminal_fd;
};

/// How a process ended, as waitid tells it.
struct Exit {
  int code = 0;    // exit code, when signal is 0
  int signal = 0;  // the signal that killed it
  bool core_dumped = false;
  bool out_of_memory = false;  // the cgroup's OOM counter rose while it lived
  base::SteadyTime at{};       // when we learned of it

  /// 128 + signal for a killed process, as shells say it.
  int StatusCode() const { return signal != 0 ? 128 + signal : code; }
  /// "exit code 3", "signal 9 (SIGKILL)", "signal 9 (SIGKILL), out of memory".
  std::string ToString() const;
};

/// A spawned process and all that it ever made: children, their sessions, double forks. Owned by
/// whoever spawned it; confined to the loop's thread. Destroying it while anything of it lives
/// kills that at once (SIGKILL), without waiting.
class Process {
 public:
  virtual ~Process() = default;

  /// Of the leader, which stays a zombie, and its pid reserved, until its exit was reported.
  virtual pid_t pid() const = 0;
  virtual const std::optional<Exit>& exit() const = 0;

  /// Sends to the leader alone. OK when it is already gone.
  virtual base::Status SignalLeader(int signal) = 0;
  /// Sends to every process of the tree that can be found now (STOP, CONT, USR1 ...). Not atomic
  /// against forks.
  virtual base::Status SignalAll(int signal) = 0;
  /// SIGKILL to every process of the tree, until none is left, whatever it did to hide; `gone` then
  /// runs once, on the loop's thread, never inside this call. Processes that do not die within
  /// `deadline` (uninterruptible sleep) are named in the status.
  virtual void KillAll(base::Duration deadline, std::function<void(base::Status)> gone) = 0;
};

using ExitCallback = std::function<void(const Exit&)>;

/// One process that is wanted, and who is told of its end.
struct SpawnRequest {
  SpawnSpec spec;
  ExitCallback on_exit;
};

using SpawnResult = base::Result<std::unique_ptr<Process>>;

/// Where processes come from. RealProcesses forks, SimProcesses pretends; one contract suite holds
/// both. Confined to the loop's thread.
class Processes {
 public:
  virtual ~Processes() = default;

  /// Starts children side by side and returns when each of them has exec'd or failed; the results
  /// are in the order of the requests, and a failure of one does not touch the others. `on_exit`
  /// runs once, on the loop's thread, never inside this call, when the leader has ended (its
  /// descendants may live on: see Process::KillAll).
  /// Blocks: until the last exec or failure, milliseconds; bounded by 10 s, and 2 s more when a
  /// child does not even die then.
  /// Errors: NotFound - program, interpreter of a script (named) or working directory missing;
  /// PermissionDenied - not executable; InvalidArgument - wrong architecture or not a program;
  /// ResourceExhausted - process, memory or descriptor limit (named, with the command that raises
  /// it); DeadlineExceeded - no exec within the bound: it has been killed.
  virtual std::vector<SpawnResult> SpawnAll(std::vector<SpawnRequest> requests) = 0;
  /// One.
  SpawnResult Spawn(SpawnSpec spec, ExitCallback on_exit);

  /// How trees are held on this machine: "cgroup v2 at /sys/fs/cgroup/...", "subreaper and
  /// environment mark".
  virtual std::string containment() const = 0;
};

}  // namespace lockstep::process

#endif  // LOCKSTEP_RUNTIME_PROCESS_PROCESSES_H_
