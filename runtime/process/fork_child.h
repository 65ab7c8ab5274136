// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROCESS_FORK_CHILD_H_
#define LOCKSTEP_RUNTIME_PROCESS_FORK_CHILD_H_

#include <sys/types.h>

#include <functional>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::process {

struct ForkedChild {
  pid_t pid = -1;  // to be waited for by the caller
  base::UniqueFd
      pidfd;  // invalid on kernels without pidfd_open (before 5.3) and where a container forbids it
};

/// Forks a child that runs `body` in this very program, without exec, and ends with the status it
/// returns, by _exit(): no static destructor runs twice and no stdio buffer is written twice, so
/// `body` flushes what it prints. This is how the front makes the agent; ranks come from Processes.
/// The child inherits everything: descriptors, dispositions, mask.
///
/// The caller must have one thread (checked): others would be missing in the child, with whatever
/// locks they held. Errors: ResourceExhausted - process limit.
base::Result<ForkedChild> ForkChild(const std::function<int()>& body);

}  // namespace lockstep::process

#endif  // LOCKSTEP_RUNTIME_PROCESS_FORK_CHILD_H_
