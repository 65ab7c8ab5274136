// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROCESS_PROCESS_LIMIT_H_
#define LOCKSTEP_RUNTIME_PROCESS_PROCESS_LIMIT_H_

#include <string>

#include "runtime/base/status.h"

namespace lockstep::process {

/// For a fork or clone that failed with EAGAIN: "WHAT: no process can be made (EAGAIN)", which
/// limit that is, and the command that raises it. Looks at the limits that can say so and names the
/// first that is reached: pids.max of a cgroup that this process is in, the user's RLIMIT_NPROC,
/// the machine's. Any thread.
base::Status ProcessLimitError(const std::string& what);

}  // namespace lockstep::process

#endif  // LOCKSTEP_RUNTIME_PROCESS_PROCESS_LIMIT_H_
