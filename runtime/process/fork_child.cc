// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/fork_child.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/base/check.h"
#include "runtime/base/errno_status.h"

namespace lockstep::process {
namespace {

/// One folder a thread, besides "." and ".."; without /proc nobody can tell.
bool HasOneThread() {
  struct stat tasks;
  return ::stat("/proc/self/task", &tasks) != 0 || tasks.st_nlink == 3;
}

}  // namespace

base::Result<ForkedChild> ForkChild(const std::function<int()>& body) {
  LOCKSTEP_CHECK(HasOneThread(), "forking without exec needs a single-threaded process");
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(body());
  if (pid < 0)
    return base::ErrnoStatus(errno, "fork a child (the limit on processes is that of: ulimit -u)");
  return ForkedChild{.pid = pid,
                     .pidfd = base::UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)))};
}

}  // namespace lockstep::process
