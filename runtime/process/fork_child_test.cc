// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/fork_child.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <thread>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::process {
namespace {

TEST(ForkChildTest, BodyRunsInAChildWhoseStatusIsItsResult) {
  const pid_t self = ::getpid();
  ASSERT_OK_AND_ASSIGN(const pid_t child,
                       ForkChild([self] { return ::getppid() == self ? 7 : 1; }));

  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 7);
}

TEST(ForkChildTest, WhatWasBufferedBeforeIsNotWrittenTwice) {
  char name[] = "/tmp/fork_child_test.XXXXXX";
  const int fd = ::mkstemp(name);
  ASSERT_GE(fd, 0);
  FILE* file = ::fdopen(fd, "w");
  ::fputs("once\n", file);  // stays in the buffer
  ASSERT_OK_AND_ASSIGN(const pid_t child, ForkChild([] { return 0; }));
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  ::fclose(file);

  FILE* again = ::fopen(name, "r");
  char text[64];
  const size_t size = ::fread(text, 1, sizeof(text), again);
  ::fclose(again);
  ::unlink(name);
  EXPECT_EQ(std::string(text, size), "once\n");
}

TEST(ForkChildTest, OnlyTheKeptOfTheInheritedDescriptorsStaysOpen) {
  const int given_away = ::open("/dev/null", O_RDONLY);  // a caller's, not closed by exec
  const int kept = ::open("/dev/null", O_RDONLY);
  ASSERT_GE(given_away, 3);
  ASSERT_OK_AND_ASSIGN(const pid_t child, ForkChild([&] {
                         CloseInheritedDescriptors(kept);
                         const bool closed = ::fcntl(given_away, F_GETFD) < 0;
                         const bool open = ::fcntl(kept, F_GETFD) >= 0 && ::fcntl(2, F_GETFD) >= 0;
                         return closed && open ? 0 : 1;
                       }));
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  ::close(given_away);
  ::close(kept);
}

TEST(ForkDaemonTest, ADaemonIsNobodysChildHoldsNothingAndRunsOnEveryCore) {
  cpu_set_t all, one;
  ASSERT_EQ(::sched_getaffinity(0, sizeof all, &all), 0);
  CPU_ZERO(&one);
  for (int cpu = 0; CPU_COUNT(&one) == 0; ++cpu) {
    if (CPU_ISSET(cpu, &all)) CPU_SET(cpu, &one);
  }
  int report[2];
  ASSERT_EQ(::pipe2(report, O_CLOEXEC), 0);
  const int given_away = ::open("/dev/null", O_RDONLY);  // a caller's, not closed by exec
  const pid_t self = ::getpid();
  const pid_t session = ::getsid(0);
  ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);

  const base::Status forked = ForkDaemon(report[1], [&] {
    const auto is_null = [](int fd) {
      struct stat it, null;
      return ::fstat(fd, &it) == 0 && ::stat("/dev/null", &null) == 0 && it.st_rdev == null.st_rdev;
    };
    cpu_set_t cores;
    ::sched_getaffinity(0, sizeof cores, &cores);
    std::string wrong;
    if (::getppid() == self) wrong += "our child, ";
    if (::getsid(0) == session || ::getsid(0) == ::getpid()) wrong += "session, ";
    if (::fcntl(given_away, F_GETFD) >= 0 || ::fcntl(report[0], F_GETFD) >= 0) wrong += "fds, ";
    if (!is_null(0) || !is_null(1) || !is_null(2)) wrong += "streams, ";
    if (!CPU_EQUAL(&cores, &all)) wrong += "cores, ";
    if (std::filesystem::current_path() != "/") wrong += "folder, ";
    wrong += "that is all";
    return ::write(report[1], wrong.data(), wrong.size()) > 0 ? 0 : 1;
  });
  ASSERT_EQ(::sched_setaffinity(0, sizeof all, &all), 0);
  ASSERT_OK(forked);
  ::close(report[1]);
  ::close(given_away);

  char text[256];
  const ssize_t size = ::read(report[0], text, sizeof text);
  EXPECT_EQ(std::string(text, size > 0 ? static_cast<size_t>(size) : 0), "that is all");
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "no child of ours is left";
  ::close(report[0]);
}

TEST(ForkDaemonTest, WhoeverIgnoresItsChildrenMayHaveOneToo) {
  int report[2];
  ASSERT_EQ(::pipe2(report, O_CLOEXEC), 0);
  ::signal(SIGCHLD, SIG_IGN);
  const base::Status forked =
      ForkDaemon(report[1], [&] { return ::write(report[1], "x", 1) == 1 ? 0 : 1; });
  ::signal(SIGCHLD, SIG_DFL);
  ::close(report[1]);

  EXPECT_OK(forked);
  char text = 0;
  EXPECT_EQ(::read(report[0], &text, 1), 1);
  ::close(report[0]);
}

TEST(CloseInheritedDescriptorsTest, KeepsTheStandardOnesAndTheNamedOne) {
  ASSERT_OK_AND_ASSIGN(const pid_t child, ForkChild([] {
                         const int low = ::dup(0);
                         const int kept = ::fcntl(0, F_DUPFD, 40);
                         const int high = ::fcntl(0, F_DUPFD, 41);
                         CloseInheritedDescriptors(kept);
                         const auto is_open = [](int fd) { return ::fcntl(fd, F_GETFD) >= 0; };
                         const bool standard = is_open(0) && is_open(1) && is_open(2);
                         return standard && is_open(kept) && !is_open(low) && !is_open(high) ? 0
                                                                                             : 1;
                       }));

  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(ForkChildDeathTest, RefusesAProcessWithThreads) {
  EXPECT_DEATH(
      {
        std::thread other([] { ::pause(); });
        (void)ForkChild([] { return 0; });
      },
      "single-threaded");
}

}  // namespace
}  // namespace lockstep::process
