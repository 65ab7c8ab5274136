// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/fork_child.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <vector>

#include "runtime/base/check.h"
#include "runtime/base/errno_status.h"
#include "runtime/process/process_limit.h"

namespace lockstep::process {
namespace {

/// One folder a thread, besides "." and ".."; without /proc nobody can tell.
bool HasOneThread() {
  struct stat tasks;
  return ::stat("/proc/self/task", &tasks) != 0 || tasks.st_nlink == 3;
}

}  // namespace

base::Result<pid_t> ForkChild(const std::function<int()>& body) {
  LOCKSTEP_CHECK(HasOneThread(), "forking without exec needs a single-threaded process");
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(body());
  if (pid < 0 && errno == EAGAIN) return ProcessLimitError("fork a child");
  if (pid < 0) return base::ErrnoStatus(errno, "fork a child");
  return pid;
}

void CloseInheritedDescriptors(int kept) {
  constexpr unsigned kFirst = STDERR_FILENO + 1;
  const auto except = static_cast<unsigned>(kept);
  if (except > kFirst && ::syscall(SYS_close_range, kFirst, except - 1, 0) == 0 &&
      ::syscall(SYS_close_range, except + 1, ~0U, 0) == 0) {
    return;
  }
  // Before Linux 5.9. Read to the end before anything is closed: the listing has a number too.
  std::vector<int> open;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", error)) {
    open.push_back(std::atoi(entry.path().filename().c_str()));
  }
  for (const int fd : open) {
    if (fd >= static_cast<int>(kFirst) && fd != kept) ::close(fd);
  }
}

}  // namespace lockstep::process
