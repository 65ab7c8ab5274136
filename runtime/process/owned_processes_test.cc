// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Whose a process is. That KillAll() finds them all: real_processes_kill_test.
#include "runtime/process/owned_processes.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "runtime/base/testing/status_matchers.h"
#include "runtime/process/descendants.h"

namespace lockstep::process {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr char kTroublemaker[] = "runtime/process/testing/troublemaker";

class OwnedProcessesTest : public ::testing::Test {
 protected:
  ~OwnedProcessesTest() override { EXPECT_OK(KillDescendants(std::chrono::seconds(20))); }

  /// A child that leads a session of its own and sleeps, after it has made one more where told to.
  pid_t MakeLeader(bool with_child = false) {
    return Fork([&] {
      ::setsid();
      return with_child ? Fork([] { return ::getpid(); }) : ::getpid();
    });
  }
  /// A child with the mark, of nobody's session.
  pid_t MakeMarked(const std::string& mark) {
    int ready[2];
    EXPECT_EQ(::pipe2(ready, O_CLOEXEC), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      const std::string variable = "LOCKSTEP_MARK=" + mark;
      const char* arguments[] = {kTroublemaker, "print", "ready", "sleep", nullptr};
      const char* environment[] = {variable.c_str(), nullptr};
      ::dup2(ready[1], STDOUT_FILENO);
      ::execve(kTroublemaker, const_cast<char**>(arguments), const_cast<char**>(environment));
      ::_exit(1);
    }
    char byte;
    EXPECT_EQ(::read(ready[0], &byte, 1), 1);
    ::close(ready[0]);
    ::close(ready[1]);
    return child;
  }
  static std::vector<pid_t> Pids(const std::vector<ProcStat>& stats) {
    std::vector<pid_t> pids;
    for (const ProcStat& stat : stats) pids.push_back(stat.pid);
    return pids;
  }

  pid_t last_made_ = 0;  // by the child of the last Fork()

 private:
  /// A child that sleeps for ever once `prepare` is done; what that returned is in last_made_.
  pid_t Fork(const std::function<pid_t()>& prepare) {
    int ready[2];
    EXPECT_EQ(::pipe2(ready, O_CLOEXEC), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      const pid_t made = prepare();
      if (::write(ready[1], &made, sizeof(made)) != sizeof(made)) ::_exit(1);
      while (true) ::pause();
    }
    EXPECT_EQ(::read(ready[0], &last_made_, sizeof(last_made_)), ssize_t{sizeof(last_made_)});
    ::close(ready[0]);
    ::close(ready[1]);
    return child;
  }
};

TEST_F(OwnedProcessesTest, NobodyIsBelowAProcessWithoutChildren) {
  const OwnedProcesses found = FindOwnedProcesses({});

  EXPECT_TRUE(found.seen && found.settled);
  EXPECT_THAT(found.members, IsEmpty());
  EXPECT_THAT(found.strays, IsEmpty());
}

TEST_F(OwnedProcessesTest, LeaderParentAndMarkTellWhoseAProcessIs) {
  const pid_t first = MakeLeader(/*with_child=*/true);
  const pid_t child_of_first = last_made_;
  const pid_t second = MakeLeader();
  const pid_t marked = MakeMarked("job/rank-1/8/");
  const pid_t stranger = MakeMarked("job/rank-1/80/");

  const OwnedProcesses found =
      FindOwnedProcesses({{.serial = 7, .leader = first, .mark = "job/rank-0/7/"},
                          {.serial = 8, .leader = second, .mark = "job/rank-1/8/"}});

  EXPECT_TRUE(found.seen && found.settled);
  EXPECT_THAT(Pids(found.members.at(7)), ElementsAre(first, child_of_first));
  EXPECT_THAT(Pids(found.members.at(8)), UnorderedElementsAre(second, marked));
  EXPECT_THAT(Pids(found.strays), ElementsAre(stranger));
}

// A daemon that forks and leaves is seen by its corpses.
TEST_F(OwnedProcessesTest, OnlyADeadLeaderLeavesThingsSettled) {
  const pid_t leader = MakeLeader();
  const pid_t other = MakeMarked("job/rank-0/7/");
  const std::vector<ProcessOwner> owners = {
      {.serial = 7, .leader = leader, .mark = "job/rank-0/7/"}};
  const auto die = [](pid_t pid) {
    siginfo_t info{};
    return ::kill(pid, SIGKILL) == 0 &&
           ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) == 0;
  };

  ASSERT_TRUE(die(leader));
  EXPECT_TRUE(FindOwnedProcesses(owners).settled);
  ASSERT_TRUE(die(other));
  const OwnedProcesses found = FindOwnedProcesses(owners);

  EXPECT_FALSE(found.settled);
  EXPECT_THAT(found.members, IsEmpty());
}

}  // namespace
}  // namespace lockstep::process
