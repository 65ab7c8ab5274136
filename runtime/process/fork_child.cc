// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/fork_child.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
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

/// Returns an errno.
int DetachStandardStreams() {
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) return errno;
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::dup2(null, fd) < 0) return errno;
  }
  if (null > STDERR_FILENO) ::close(null);
  return 0;
}

/// The kernel takes what our cpuset allows; without it we stay where we are.
void SpreadOverAllCores() {
  constexpr size_t kMaskBytes = 1024;  // Linux has at most 8,192 of them
  std::array<unsigned char, kMaskBytes> all;
  all.fill(0xff);
  (void)::syscall(SYS_sched_setaffinity, 0, all.size(), all.data());
}

/// What stands between us and the daemon; returns an errno. A child of a session's leader is none
/// itself, so that it never gets a terminal by opening one.
int ForkFromOwnSession(int kept, const std::function<int()>& body) {
  CloseInheritedDescriptors(kept);
  ::setsid();
  if (const int error = DetachStandardStreams(); error != 0) return error;
  const pid_t pid = ::fork();
  if (pid < 0) return errno;
  if (pid > 0) return 0;
  SpreadOverAllCores();
  if (::chdir("/") != 0) return errno;
  ::_exit(body());
}

base::Status ForkError(int error, const char* what) {
  return error == EAGAIN ? ProcessLimitError(what) : base::ErrnoStatus(error, what);
}

}  // namespace

base::Result<pid_t> ForkChild(const std::function<int()>& body) {
  LOCKSTEP_CHECK(HasOneThread(), "forking without exec needs a single-threaded process");
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(body());
  if (pid < 0) return ForkError(errno, "fork a child");
  return pid;
}

base::Status ForkDaemon(int kept, const std::function<int()>& body) {
  ASSIGN_OR_RETURN(const pid_t middle, ForkChild([&] { return ForkFromOwnSession(kept, body); }));
  int status = 0;
  while (::waitpid(middle, &status, 0) < 0) {
    // Whoever ignores SIGCHLD gets no status of his children.
    if (errno != EINTR) return base::OkStatus();
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return base::OkStatus();
  return ForkError(WIFEXITED(status) ? WEXITSTATUS(status) : EINTR, "fork into the background");
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
