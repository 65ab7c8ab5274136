// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROCESS_PROCESS_LOOK_H_
#define LOCKSTEP_RUNTIME_PROCESS_PROCESS_LOOK_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

namespace lockstep::process {

/// What the first thread of a process is doing, as /proc shows it in one look. Costs some 50 us,
/// never stops the process, and needs nothing but to be of its user (ptrace's rules for the system
/// call: an ancestor may always see it).
struct ProcessLook {
  enum class Doing : uint8_t {
    kRuns,           // on a processor, or ready to
    kSleeps,         // in a system call
    kReadsOrWrites,  // in a read or write of a file, pipe or terminal, or uninterruptibly in one
    kStopped,        // by a signal
    kTraced,         // by a debugger; not by a child of its own, as for a leak check at its end
    kFrozen,         // its cgroup is
    kEnded,          // and not yet reaped
  };

  Doing doing = Doing::kRuns;
  char state = '?';          // as /proc has it
  uint64_t cpu_ticks = 0;    // of all its threads since it began, user and system
  std::string wait_channel;  // "pipe_read"; "" = it runs, or the kernel does not tell
  std::string system_call;   // "read of pipe:[4242]", "futex", "system call 281"; "" likewise

  /// "sleeps in futex (futex_wait_queue)".
  std::string ToString() const;
};

/// nullopt when no process with that pid and start time (ProcStat::start_ticks; 0 = any) is there.
/// Any thread.
std::optional<ProcessLook> LookAtProcess(pid_t pid, uint64_t start_ticks = 0);
/// The same of one of its threads. nullopt when it is gone. Any thread.
std::optional<ProcessLook> LookAtThread(pid_t pid, pid_t tid);

}  // namespace lockstep::process

#endif  // LOCKSTEP_RUNTIME_PROCESS_PROCESS_LOOK_H_
