// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_EXEC_LAUNCHER_PROCESS_H_
#define LOCKSTEP_LAUNCHER_EXEC_LAUNCHER_PROCESS_H_

#include <sys/types.h>

#include <string>

#include "runtime/base/result.h"
#include "runtime/process/proc_scan.h"

namespace lockstep::launcher {

/// The process that stands for a launcher which names no job: hydra's proxy on this node, or the
/// shell of a loop. It is the nearest one above `rank_pid` that
///   - was not started with `rank_variable`=`value`: what was belongs to the rank (`sh -c`, `env`,
///     `timeout` between the launcher and us), and
///   - is no subshell: one that was forked, has not become a program of its own and is in its
///     parent's session. (A launcher that is a daemon may be such a fork too, in its own session.)
/// Pid 0 stands for those outside of our pid namespace. Any thread. Errors: Unavailable - /proc
/// cannot be read.
base::Result<process::ProcStat> FindLauncherProcess(pid_t rank_pid,
                                                    const std::string& rank_variable,
                                                    const std::string& value);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_EXEC_LAUNCHER_PROCESS_H_
