// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/proc_scan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>
#include <vector>

namespace lockstep::process {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(ProcScanTest, ParsesAStatLineWhoseNameHoldsSpacesAndBrackets) {
  const auto stat = ParseProcStat(
      "4242 (a) R (b) D 17 4240 4239 34816 4242 4194304 100 0 0 0 1 2 3 4 20 0 1 0 987654 1000 50 "
      "18446744073709551615\n");

  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->pid, 4242);
  EXPECT_EQ(stat->name, "a) R (b");
  EXPECT_EQ(stat->state, 'D');
  EXPECT_EQ(stat->parent, 17);
  EXPECT_EQ(stat->group, 4240);
  EXPECT_EQ(stat->session, 4239);
  EXPECT_TRUE(stat->execed);
  EXPECT_FALSE(stat->kernel_thread);
  EXPECT_EQ(stat->threads, 1);
  EXPECT_EQ(stat->start_ticks, 987654u);
  EXPECT_EQ(stat->ToString(), "a) R (b (pid 4242, state D)");
}

TEST(ProcScanTest, ProcessWhoseFirstThreadHasEndedIsNotDead) {
  const auto stat = ParseProcStat(
      "7 (python3) Z 1 7 7 0 -1 4194316 100 0 0 0 1 2 3 4 20 0 2 0 987654 0 0 184467440737\n");
  const auto dead = ParseProcStat(
      "7 (python3) Z 1 7 7 0 -1 4194316 100 0 0 0 1 2 3 4 20 0 1 0 987654 0 0 184467440737\n");

  ASSERT_TRUE(stat && dead);
  EXPECT_FALSE(stat->dead());
  EXPECT_TRUE(dead->dead());
}

TEST(ProcScanTest, RefusesWhatIsNoStatLine) {
  for (const char* text :
       {"", "x", "12", "12 (name", "12 name) S 1", "12 (name)", "12 (name) S", "12 (name) S 1 2",
        "12 (n) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18"}) {
    EXPECT_FALSE(ParseProcStat(text)) << text;
  }
}

TEST(ProcScanTest, FindsItselfAndItsParent) {
  const auto self = ReadProcStat(::getpid());

  ASSERT_TRUE(self);
  EXPECT_EQ(self->parent, ::getppid());
  EXPECT_EQ(self->session, ::getsid(0));
  EXPECT_FALSE(self->dead());
  EXPECT_FALSE(ReadProcStat(0x7fffffff));
  bool found = false;
  for (const ProcStat& stat : ScanProcesses()) found = found || stat.pid == ::getpid();
  EXPECT_TRUE(found);
}

TEST(ProcScanTest, TellsAForkedProcessFromOneThatHasExeced) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(ends[1]);
    char byte;
    ::_exit(::read(ends[0], &byte, 1) == 0 ? 0 : 1);
  }

  const auto stat = ReadProcStat(child);
  ::close(ends[0]);
  ::close(ends[1]);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);

  ASSERT_TRUE(stat);
  EXPECT_FALSE(stat->execed);
  EXPECT_TRUE(ReadProcStat(::getpid())->execed);
}

TEST(ProcScanTest, NewestPidChangesWithEachProcessThatIsMade) {
  const auto before = NewestPid();
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  const auto after = NewestPid();
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);

  ASSERT_TRUE(before && after);
  EXPECT_NE(*before, *after);
}

TEST(ProcScanTest, MarkIsNeverTakenForMissingInTheMidstOfAnExec) {
  char entry[] = "LOCKSTEP_MARK=exec/";
  char* environment[] = {entry, nullptr};
  char program[] = "runtime/process/testing/troublemaker";
  char action[] = "exec-on";
  char times[] = "100000";
  char* arguments[] = {program, action, times, nullptr};
  const pid_t child = ::fork();
  if (child == 0) {
    ::execve(program, arguments, environment);
    ::_exit(1);
  }
  while (ReadMark(child) != "exec/") ASSERT_TRUE(ReadProcStat(child)->state != 'Z');

  int unknown = 0;
  int missing = 0;
  for (int look = 0; look < 200'000 && unknown < 20; ++look) {
    const std::optional<std::string> mark = ReadMark(child);
    if (!mark) ++unknown;
    if (mark && *mark != "exec/") ++missing;
  }
  ::kill(child, SIGKILL);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);

  EXPECT_EQ(missing, 0);
  EXPECT_GT(unknown, 0) << "never met in the midst of it";
}

TEST(ProcScanTest, VariablesAreThoseWithWhichAProcessWasExeced) {
  char entry[] = "RANKS=3";
  char other[] = "RANK=1";
  char* environment[] = {entry, other, nullptr};
  char program[] = "runtime/process/testing/troublemaker";
  char action[] = "sleep";
  char* arguments[] = {program, action, nullptr};
  const pid_t child = ::fork();
  if (child == 0) {
    ::setenv("RANK", "7", 1);
    ::execve(program, arguments, environment);
    ::_exit(1);
  }
  const pid_t fork = ::fork();
  if (fork == 0) {
    ::setenv("RANK", "7", 1);
    while (true) ::pause();
  }
  while (ReadVariable(child, "RANK") != "1") ASSERT_TRUE(ReadProcStat(child)->state != 'Z');

  EXPECT_EQ(ReadVariable(child, "RANKS"), "3");
  EXPECT_EQ(ReadVariable(child, "RAN"), "");
  EXPECT_EQ(ReadVariable(fork, "RANK"), "") << "it shows ours";
  for (const pid_t pid : {child, fork}) {
    ::kill(pid, SIGKILL);
    ASSERT_EQ(::waitpid(pid, nullptr, 0), pid);
  }
}

TEST(ProcScanTest, NoProcessIsWithoutAnEnvironmentForNoReason) {
  EXPECT_EQ(ReadMark(0x7fffffff), "");  // there is none
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  siginfo_t info;
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);
  EXPECT_EQ(ReadMark(child), "");  // dead
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
}

TEST(ProcScanTest, DescendantsComeParentsFirstAndWithoutStrangers) {
  std::vector<ProcStat> all;
  const auto add = [&](pid_t pid, pid_t parent) { all.push_back({.pid = pid, .parent = parent}); };
  add(5, 3);
  add(3, 2);
  add(2, 1);
  add(9, 1);
  add(4, 2);

  std::vector<pid_t> pids;
  for (const ProcStat& stat : DescendantsOf(2, all)) pids.push_back(stat.pid);

  EXPECT_THAT(pids, ElementsAre(::testing::AnyOf(3, 4), ::testing::AnyOf(3, 4), 5));
}

TEST(ProcScanTest, CycleInATornTableEnds) {
  const std::vector<ProcStat> all = {
      {.pid = 2, .parent = 3}, {.pid = 3, .parent = 2}, {.pid = 2, .parent = 1}};

  EXPECT_EQ(DescendantsOf(1, all).size(), 3u);
}

TEST(ProcScanTest, MarksMatchByElement) {
  EXPECT_TRUE(MarkMatches("job/rank-1/0/", "job/"));
  EXPECT_TRUE(MarkMatches("outer/rank-0/3/;job/rank-1/0/", "job/rank-1/0/"));
  EXPECT_TRUE(MarkMatches("outer/rank-0/3/;job/rank-1/0/", "outer/"));
  EXPECT_FALSE(MarkMatches("job/rank-1/10/", "job/rank-1/1/"));
  EXPECT_FALSE(MarkMatches("myjob/rank-1/0/", "job/"));
  EXPECT_FALSE(MarkMatches("", "job/"));
  EXPECT_FALSE(MarkMatches("", ""));
}

TEST(ProcScanTest, SignalExactlySparesWhoeverGotThePid) {
  std::optional<ProcStat> self = ReadProcStat(::getpid());
  ASSERT_TRUE(self);
  EXPECT_TRUE(SignalExactly(*self, 0));
  self->start_ticks += 1;

  EXPECT_FALSE(SignalExactly(*self, SIGKILL));
}

}  // namespace
}  // namespace lockstep::process
