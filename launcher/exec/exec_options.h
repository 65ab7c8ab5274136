// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_EXEC_EXEC_OPTIONS_H_
#define LOCKSTEP_LAUNCHER_EXEC_EXEC_OPTIONS_H_

#include <string>
#include <vector>

#include "runtime/base/clock.h"

namespace lockstep::launcher {

/// What `lockstep exec` is told by its command line. A plain value, for any thread.
struct ExecOptions {
  std::vector<std::string> program;  // and its arguments; not empty
  std::string name;                  // of the job; "" = made from the program's
  std::string job_key;               // "" = found by itself
  std::string checkpoint_directory;  // "" = none
  std::string backend;               // "host", "mpi", "nccl"; "" = the program's choice
  std::string check;                 // "fast", "strict"; "" = the program's choice
  std::string watch;                 // "off", "mpi", "nccl", "auto"; "" = auto on one host
  bool kills_hung = false;           // ranks that stand still; else it is only said
  /// As a job of `lockstep run` has them; 0 = its defaults.
  base::Duration hang_grace{0}, hang_action_after{0}, hang_init_deadline{0}, hang_deadline{0};
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_EXEC_EXEC_OPTIONS_H_
