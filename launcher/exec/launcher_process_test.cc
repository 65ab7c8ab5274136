// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/exec/launcher_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::launcher {
namespace {

using base::Code;
using base::testing::StatusIs;

/// Starts `script` by sh, which must print the pid that is to be looked at and then read a line;
/// what stands for the launcher of that process, looked at meanwhile.
class ProcessTree {
 public:
  explicit ProcessTree(const std::string& script) {
    int in[2], out[2];
    EXPECT_EQ(::pipe2(in, O_CLOEXEC), 0);
    EXPECT_EQ(::pipe2(out, O_CLOEXEC), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(in[0], 0);
      ::dup2(out[1], 1);
      ::setenv("RANK_SCRIPT", "echo $$; read line; true", 1);
      ::execl("/bin/sh", "sh", "-c", script.c_str(), nullptr);
      ::_exit(127);
    }
    ::close(in[0]);
    ::close(out[1]);
    go_ = in[1];
    std::FILE* output = ::fdopen(out[0], "r");
    EXPECT_EQ(std::fscanf(output, "%d", &rank_), 1) << script;
    std::fclose(output);
  }
  ~ProcessTree() {
    ::close(go_);
    int status = 0;
    ::waitpid(pid_, &status, 0);
  }
  ProcessTree(const ProcessTree&) = delete;
  ProcessTree& operator=(const ProcessTree&) = delete;

  pid_t pid() const { return pid_; }
  base::Result<process::ProcStat> Launcher() const {
    return FindLauncherProcess(rank_, "TEST_RANK", "3");
  }

 private:
  pid_t pid_ = -1;
  int go_ = -1;
  int rank_ = -1;
};

/// Says its pid and waits; RANK_SCRIPT is in the environment of each tree.
#define RANK "sh -c \"$RANK_SCRIPT\""

TEST(LauncherProcessTest, TheParentOfARankIsItsLauncher) {
  const ProcessTree tree("TEST_RANK=3 " RANK "; true");

  ASSERT_OK_AND_ASSIGN(const process::ProcStat launcher, tree.Launcher());
  EXPECT_EQ(launcher.pid, tree.pid());
  EXPECT_GT(launcher.start_ticks, 0u);
}

TEST(LauncherProcessTest, ShellsAndWrappersWithinARankAreNotItsLauncher) {
  const ProcessTree tree("TEST_RANK=3 sh -c 'timeout 60 " RANK "; true'; true");

  ASSERT_OK_AND_ASSIGN(const process::ProcStat launcher, tree.Launcher());
  EXPECT_EQ(launcher.pid, tree.pid());
}

TEST(LauncherProcessTest, SubshellsOfALoopAreNotItsLauncher) {
  const ProcessTree tree("( export TEST_RANK=3; ( " RANK "; true ); true ); true");

  ASSERT_OK_AND_ASSIGN(const process::ProcStat launcher, tree.Launcher());
  EXPECT_EQ(launcher.pid, tree.pid());
}

// Else all launchers of one kind would be one: init.
TEST(LauncherProcessTest, ADaemonThatWasForkedIsALauncherOfItsOwn) {
  int report[2];
  ASSERT_EQ(::pipe2(report, O_CLOEXEC), 0);
  const pid_t daemon = ::fork();
  if (daemon == 0) {  // this program's, forked and not exec'd, in a session of its own
    ::setsid();
    ::setenv("TEST_RANK", "3", 1);
    const pid_t rank = ::fork();
    if (rank == 0) {
      ::execl("/bin/sleep", "sleep", "60", nullptr);
      ::_exit(127);
    }
    (void)!::write(report[1], &rank, sizeof rank);
    ::pause();
  }
  pid_t rank = 0;
  ASSERT_EQ(::read(report[0], &rank, sizeof rank), static_cast<ssize_t>(sizeof rank));

  const auto launcher = FindLauncherProcess(rank, "TEST_RANK", "3");
  for (const pid_t pid : {rank, daemon}) ::kill(pid, SIGKILL);
  ::waitpid(daemon, nullptr, 0);

  ASSERT_OK(launcher);
  EXPECT_EQ(launcher->pid, daemon);
}

TEST(LauncherProcessTest, AnotherRanksProcessIsALauncher) {
  const ProcessTree tree("TEST_RANK=2 sh -c 'TEST_RANK=3 " RANK "; true'; true");

  ASSERT_OK_AND_ASSIGN(const process::ProcStat launcher, tree.Launcher());
  EXPECT_EQ(launcher.parent, tree.pid());
}

TEST(LauncherProcessTest, WhatCannotBeSeenIsAnError) {
  EXPECT_THAT(FindLauncherProcess(0x7ffffff0, "TEST_RANK", "3"), StatusIs(Code::kUnavailable));
}

}  // namespace
}  // namespace lockstep::launcher
