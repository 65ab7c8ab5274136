// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROCESS_FOREIGN_PROCESS_H_
#define LOCKSTEP_RUNTIME_PROCESS_FOREIGN_PROCESS_H_

#include <functional>
#include <memory>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "runtime/event/loop.h"
#include "runtime/process/proc_scan.h"

namespace lockstep::process {

/// A process that we have not made: tells when it has ended (how, the kernel tells its parent
/// alone), and signals it and no other that got its pid since. Destroying it leaves the process
/// alone. Owned by whoever watches; confined to the loop's thread.
///
/// By a pidfd (Linux 5.3). Without, it looks every 50 ms, and a signal goes by pid right after a
/// look.
class ForeignProcess {
 public:
  struct Config {
    pid_t pid = 0;
    uint64_t start_ticks = 0;  // ProcStat::start_ticks
    bool use_pidfd = true;     // false as on kernels before 5.3
  };

  /// `on_end` runs once, on the loop's thread, never inside this call, and may destroy this.
  /// Errors: NotFound - no process has that pid and start time: it has ended, or its pid is one of
  /// another pid namespace; ResourceExhausted - descriptor limit.
  static base::Result<std::unique_ptr<ForeignProcess>> Watch(const Config& config,
                                                             std::function<void()> on_end,
                                                             event::Loop& loop);
  ForeignProcess(const ForeignProcess&) = delete;
  ForeignProcess& operator=(const ForeignProcess&) = delete;

  pid_t pid() const { return stat_.pid; }
  /// Now, whether `on_end` has run or not.
  bool HasEnded() const;
  /// False when it has ended or may not be signalled.
  bool Signal(int signal) const { return SignalExactly(stat_, signal); }

 private:
  ForeignProcess(ProcStat stat, base::UniqueFd pidfd, std::function<void()> on_end,
                 event::Loop& loop);
  void Look();
  void End();

  const ProcStat stat_;
  const base::UniqueFd pidfd_;  // invalid where there are none
  std::function<void()> on_end_;
  event::Loop& loop_;
  event::Registration watch_;  // of the pidfd, or the timer of the next look
};

}  // namespace lockstep::process

#endif  // LOCKSTEP_RUNTIME_PROCESS_FOREIGN_PROCESS_H_
