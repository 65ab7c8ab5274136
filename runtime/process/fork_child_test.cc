// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/fork_child.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

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
