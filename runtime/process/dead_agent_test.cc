// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// What becomes of ranks whose agent is killed.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <sstream>
#include <string>
#include <vector>

#include "runtime/base/check.h"
#include "runtime/base/clock.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/process/descendants.h"
#include "runtime/process/processes.h"
#include "runtime/process/real_processes.h"
#include "runtime/process/test_host.h"

namespace lockstep::process {
namespace {

using std::chrono::seconds;
using testing::Host;
using testing::IsAlive;
using testing::kLongTime;
using testing::kTroublemaker;

/// An agent in a process of its own, which the test kills.
class DeadAgentTest : public ::testing::Test {
 protected:
  /// Begins the marks of this run of the tests alone.
  static std::string Mark() { return "dead." + std::to_string(::getpid()) + "."; }
  /// Forks an agent that spawns one rank and waits; returns its pid when the rank has printed
  /// "ready".
  pid_t StartAgent(const std::vector<std::string>& actions, const std::string& mark) {
    LOCKSTEP_CHECK(::pipe2(pipe_, O_CLOEXEC) == 0, "pipe2");
    const pid_t agent = ::fork();
    if (agent == 0) {
      ::close(pipe_[0]);
      Host host({.mark = mark, .containment = Containment::kSubreaperMark});
      SpawnSpec spec{.name = "rank-0", .arguments = {kTroublemaker}, .fds = {{pipe_[1], 1}}};
      spec.arguments.insert(spec.arguments.end(), actions.begin(), actions.end());
      const auto rank = host.processes().Spawn(spec, [](const Exit&) {});
      ::close(pipe_[1]);
      host.loop().Run();  // for ever
      ::_exit(0);
    }
    ::close(pipe_[1]);
    while (text_.find("ready\n") == std::string::npos && ReadMore()) {
    }
    return agent;
  }
  std::vector<pid_t> Pids() const {
    std::vector<pid_t> pids;
    std::istringstream lines(text_);
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("pid ")) pids.push_back(std::atoi(line.c_str() + 4));
    }
    return pids;
  }
  /// False at the end of the pipe, and when nothing comes for a long time.
  bool ReadMore() {
    pollfd readable{.fd = pipe_[0], .events = POLLIN, .revents = 0};
    if (::poll(&readable, 1, 20'000) != 1) {
      ADD_FAILURE() << "somebody holds the ranks' output";
      return false;
    }
    char bytes[512];
    const ssize_t size = ::read(pipe_[0], bytes, sizeof(bytes));
    if (size > 0) text_.append(bytes, static_cast<size_t>(size));
    return size > 0;
  }
  /// Returns when nobody holds the ranks' output any more.
  void WaitForEnd() {
    while (ReadMore()) {
    }
  }
  void TearDown() override {
    ::close(pipe_[0]);
    (void)KillMarked(Mark(), kLongTime);  // should a test have failed
  }

  int pipe_[2] = {-1, -1};
  std::string text_;
};

TEST_F(DeadAgentTest, LeadersDieWithAnAgentThatIsKilled) {
  const base::RealClock clock;
  const pid_t agent = StartAgent({"ignore", "15", "print", "ready", "sleep"}, Mark() + "leader");

  const base::SteadyTime killed = clock.Now();
  ASSERT_EQ(::kill(agent, SIGKILL), 0);
  WaitForEnd();  // the leader alone held the pipe

  EXPECT_LT(clock.Now() - killed, seconds(2));
  EXPECT_EQ(::waitpid(agent, nullptr, 0), agent);
}

TEST_F(DeadAgentTest, SubreaperAboveItEndsAllThatIsLeft) {
  ASSERT_OK(BecomeSubreaper());
  const pid_t agent = StartAgent({"child", "setsid-child", "double-fork", "hidden", "stopped-child",
                                  "print", "ready", "sleep"},
                                 Mark() + "front");
  ASSERT_EQ(::kill(agent, SIGKILL), 0);

  EXPECT_OK(KillDescendants(kLongTime));

  for (const pid_t pid : Pids()) EXPECT_FALSE(IsAlive(pid)) << pid;
  WaitForEnd();
  ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0), 0);
}

TEST_F(DeadAgentTest, NextCommandFindsTheRestByItsMark) {
  ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0), 0);
  const std::string mark = Mark() + "both";
  const pid_t agent =
      StartAgent({"setsid-child", "double-fork", "stopped-child", "print", "ready", "sleep"}, mark);
  ASSERT_EQ(::kill(agent, SIGKILL), 0);
  ASSERT_EQ(::waitpid(agent, nullptr, 0), agent);
  ASSERT_EQ(Pids().size(), 3u);

  // The stopped child may have been ended by the kernel: orphaned groups with a stopped member are
  // hung up.
  EXPECT_THAT(KillMarked(mark + "/", kLongTime),
              base::testing::IsOkAndHolds(::testing::AllOf(::testing::Ge(2), ::testing::Le(4))));
  EXPECT_THAT(KillMarked(mark + "/", kLongTime), base::testing::IsOkAndHolds(0));

  for (const pid_t pid : Pids()) EXPECT_FALSE(IsAlive(pid)) << pid;
  WaitForEnd();
}

}  // namespace
}  // namespace lockstep::process
