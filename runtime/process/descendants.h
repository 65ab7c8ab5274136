// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROCESS_DESCENDANTS_H_
#define LOCKSTEP_RUNTIME_PROCESS_DESCENDANTS_H_

#include <string>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/result.h"
#include "runtime/base/status.h"
#include "runtime/process/proc_scan.h"

namespace lockstep::process {

/// Makes this process the one that orphaned descendants become children of, so that none can leave
/// its tree. Errors: those of prctl (kernels before 3.4).
base::Status BecomeSubreaper();

/// The children that this process has already: those of the program that exec'd this one. One
/// system call when there are none. Errors: Unavailable - /proc cannot be read.
base::Result<std::vector<ProcStat>> LivingChildren();

/// Ends every descendant of this process, whatever it did to hide, and reaps them all: for a
/// subreaper whose agent is gone, and for an agent about to leave. Those in `spared` and what they
/// made live on. Costs one system call when there are none. Blocks: up to `limit`. Any thread,
/// while nobody else waits for children. Errors: DeadlineExceeded - some did not die
/// (uninterruptible sleep, another user's); they are named; Unavailable - /proc cannot be read.
base::Status KillDescendants(base::Duration limit, const std::vector<ProcStat>& spared = {});

/// Ends every process of this user whose environment mark has an element that begins with `prefix`:
/// what is left of a job whose front and agent both died. Returns how many were signalled. Looks at
/// each process of the machine (10 us) until it has looked twice while none was made or exec'd, so
/// that none can hide by forking and leaving; where others make some all the time, 50 times.
/// Blocks: up to `limit`. Errors: DeadlineExceeded as above; InvalidArgument - an empty prefix;
/// Unavailable - /proc cannot be read.
base::Result<int> KillMarked(const std::string& prefix, base::Duration limit);

}  // namespace lockstep::process

#endif  // LOCKSTEP_RUNTIME_PROCESS_DESCENDANTS_H_
