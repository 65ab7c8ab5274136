// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_DIAGNOSIS_STACKS_HELD_THREADS_H_
#define LOCKSTEP_LAUNCHER_DIAGNOSIS_STACKS_HELD_THREADS_H_

#include <sys/types.h>

#include <chrono>
#include <map>

namespace lockstep::launcher {

/// Threads of another process, held still by ptrace to read their registers, and let go on as they
/// were: by PTRACE_SEIZE, which sends no signal, so that a thread that a signal has stopped stays
/// stopped, one that runs goes on, and nothing is left behind when this process is killed in
/// between. A system call that sleeps is left and entered again; epoll_wait and a few others return
/// EINTR, as below any debugger. Confined to one thread, the one that unwinds, too.
class HeldThreads {
 public:
  HeldThreads() = default;
  /// Lets all of them go.
  ~HeldThreads() { LetGo(); }
  HeldThreads(const HeldThreads&) = delete;
  HeldThreads& operator=(const HeldThreads&) = delete;

  /// Asks a thread to stand still. Returns errno: EPERM - not permitted, or traced by another;
  /// ESRCH - it is gone; 0.
  int Ask(pid_t tid);
  /// Waits until all that were asked stand still, or are gone. Blocks: until `deadline`.
  void Await(std::chrono::steady_clock::time_point deadline);
  /// False as well of one that the kernel does not let stand still now: in a wait that cannot be
  /// interrupted, or frozen with its cgroup.
  bool IsHeld(pid_t tid) const;
  void LetGo();

 private:
  struct Thread {
    bool is_held = false;
    bool is_gone = false;
    int signal = 0;  // that was about to be delivered when it came to stand, and is when it goes on
  };
  void Look(pid_t tid, Thread& thread);

  std::map<pid_t, Thread> threads_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_DIAGNOSIS_STACKS_HELD_THREADS_H_
