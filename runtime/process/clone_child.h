// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROCESS_CLONE_CHILD_H_
#define LOCKSTEP_RUNTIME_PROCESS_CLONE_CHILD_H_

#include <sys/types.h>

#include <cstddef>

namespace lockstep::process {

/// Where a cloned child runs, and what it is.
struct CloneChildOptions {
  char* stack = nullptr;  // its lowest address, aligned to 16 bytes
  size_t stack_bytes = 0;
  int cgroup_fd = -1;    // folder of the cgroup to be born in (version 2); -1 = ours
  int* pidfd = nullptr;  // gets the child's pidfd; null = none wanted
};

/// clone() with CLONE_VM: `child` runs on its own stack in our memory, at the same time as we do,
/// until it execs or ends; it must not return. Signals must be blocked meanwhile. Returns its pid,
/// or -1 with errno.
///
/// A child born in its cgroup costs nothing more than any other; one that writes itself into the
/// cgroup.procs of version 2 waits for the kernel's threads to settle, 10 to 20 ms on an idle
/// machine (Linux 6.18, 2 cores, 2026-11). Being born there needs clone3 (5.7): ENOSYS where the
/// kernel or a container's filter has none, and here on processors other than x86-64.
pid_t CloneChild(int (*child)(void*), void* argument, const CloneChildOptions& options);

}  // namespace lockstep::process

#endif  // LOCKSTEP_RUNTIME_PROCESS_CLONE_CHILD_H_
