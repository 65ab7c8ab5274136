// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Jobs on four real hosts that ssh reaches: what may break while they run, and how they end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "runtime/base/testing/status_matchers.h"
#include "tests/e2e/command.h"
#include "tests/e2e/run_fixture.h"
#include "tests/e2e/ssh_fixture.h"
#include "tests/hosts/hosts.h"

namespace lockstep::e2e {
namespace {

using namespace std::chrono_literals;
using base::testing::IsOk;
using hosts::Program;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Clock = std::chrono::steady_clock;

class SshEndTest : public SshFixture {
 protected:
  /// Its front and its agent, which both see no end coming.
  static void KillLauncher(Program& job) {
    const std::vector<pid_t> agents = ChildrenOf(job.pid());
    job.Signal(SIGKILL);
    for (const pid_t agent : agents) ::kill(agent, SIGKILL);
    job.Wait(10s);
  }
  /// The number that follows `text` in the program's output.
  static std::string NumberAfter(const std::string& out, const std::string& text) {
    const size_t at = out.find(text);
    if (at == std::string::npos) return "none";
    const std::string rest = out.substr(at + text.size());
    return rest.substr(0, rest.find_first_not_of("0123456789"));
  }
};

TEST_F(SshEndTest, ARankThatIsKilledOnOneHostEndsAllOnAll) {
  const auto job = Start({"--host", "h0:2,h1:2,h2:2,h3:2", "--grace", "0"},
                         "echo rank $RANK pid $$; exec sleep 60");
  ASSERT_TRUE(WaitForLines(*job, 8));
  const std::string pid = NumberAfter(job->out(), "rank 5 pid ");

  const Clock::time_point killed_at = Clock::now();
  ASSERT_EQ(kit_->Run(2, {"kill", "-9", pid}).status, 0);
  const Outcome outcome = job->Wait(20s);

  EXPECT_LT(Clock::now() - killed_at, 3s);  // how much less is for the benchmark
  EXPECT_EQ(outcome.status, 137);
  EXPECT_THAT(outcome.err,
              AllOf(HasSubstr("rank 5 failed first: killed by signal 9"), HasSubstr("on h2")));
  for (int host = 0; host < 4; ++host) EXPECT_EQ(kit_->CountProcesses(host), 0) << host;
}

TEST_F(SshEndTest, AHostThatIsCutOffSilentlyIsNamedAndEndsItsRanksItself) {
  const auto job = Start({"--host", "h0:2,h1:2,h2:2", "--grace", "0", "--lease", "1s"},
                         "echo $RANK; exec sleep 60");
  ASSERT_TRUE(WaitForLines(*job, 6));

  ASSERT_THAT(kit_->Drop(1), IsOk());
  const Clock::time_point cut_at = Clock::now();
  const Outcome outcome = job->Wait(20s);

  EXPECT_LT(Clock::now() - cut_at, 5s);  // lease and 0.5 s: for the benchmark
  EXPECT_EQ(outcome.status, 75);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("node 1"), HasSubstr("h1"), HasSubstr("was lost")));
  EXPECT_TRUE(Eventually([&] { return kit_->CountProcesses(1) == 0; }, 5s));
}

TEST_F(SshEndTest, AnAgentThatIsKilledIsALostNode) {
  const auto job =
      Start({"--host", "h0:2,h1:2", "--grace", "0"}, "echo rank $RANK agent $PPID; exec sleep 60");
  ASSERT_TRUE(WaitForLines(*job, 4));
  const std::string agent = NumberAfter(job->out(), "rank 3 agent ");

  const Clock::time_point killed_at = Clock::now();
  ASSERT_EQ(kit_->Run(1, {"kill", "-9", agent}).status, 0);
  const Outcome outcome = job->Wait(20s);

  EXPECT_LT(Clock::now() - killed_at, 3s);
  EXPECT_EQ(outcome.status, 75);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("h1"), HasSubstr("was lost")));
}

TEST_F(SshEndTest, TheLaunchersDeathEndsEverything) {
  const auto job = Start({"--host", "h0:2,h1:2"}, "echo $RANK; exec sleep 60");
  ASSERT_TRUE(WaitForLines(*job, 4));

  job->Signal(SIGKILL);
  job->Wait(10s);

  // TearDown finds no process on any host, and no ssh here.
}

TEST_F(SshEndTest, TheLauncherMayDieAtAnyMomentOfTheStart) {
  for (int i = 0; i < 16; ++i) {
    SCOPED_TRACE(i);
    const auto job = Start({"--host", "h0,h1"}, "exec sleep 60");
    // 0 to 450 ms: from before the first ssh to running ranks.
    job->WaitForOutput([](const std::string&, const std::string&) { return false; }, i * 30ms);

    KillLauncher(*job);

    for (const int host : {0, 1}) {
      EXPECT_TRUE(Eventually([&] { return kit_->CountProcesses(host) == 0; }, 3s));
    }
    EXPECT_THAT(scratch_.LeftoversAfter(3s), IsEmpty());
  }
}

TEST_F(SshEndTest, AnAgentWhoseLauncherDiesBeforeItHasConnectedEndsAtOnce) {
  // Its agent gets its bootstrap through ssh, and no answer from the coordinator.
  const auto nft = [](const char* rules) { return kit_->Run(0, {"/usr/sbin/nft", rules}).status; };
  ASSERT_EQ(nft("add table inet held;"
                "add chain inet held out { type filter hook output priority 0; };"
                "add rule inet held out tcp dport 21000-21010 drop"),
            0);
  const auto job = Start({"--host", "h0", "--port-range", "21000-21010"}, "exec sleep 60");
  const auto connecting = [] {  // state 02 is SYN_SENT
    return kit_->Run(0, {"/bin/grep", "-qE", ":52(0[89A-F]|1[0-2]) 02 ", "/proc/net/tcp"}).status ==
           0;
  };
  EXPECT_TRUE(Eventually(connecting, 30s));

  KillLauncher(*job);

  // It would try to connect for 5 s.
  EXPECT_TRUE(Eventually([&] { return kit_->CountProcesses(0) == 0; }, 2s));
  EXPECT_EQ(nft("delete table inet held"), 0);
}

TEST_F(SshEndTest, AJobGoesOnWithoutItsSsh) {
  for (int host : {0, 1}) ASSERT_EQ(kit_->Run(host, {"mkfifo", "/tmp/go"}).status, 0);
  const auto job = Start({"--host", "h0,h1"}, "echo $RANK; read word < /tmp/go; echo done");
  ASSERT_TRUE(Eventually([&] { return kit_->CountProcesses(1) >= 3; }, 30s));
  ASSERT_TRUE(job->WaitForOutput(
      [](const std::string& out, const std::string&) { return Contains(out, "[1.1] 1\n"); }, 30s));

  // The session's sshd on h1.
  ASSERT_EQ(kit_->Run(1, {"/bin/sh", "-c", "pkill -9 -f '[s]shd: root@'"}).status, 0);
  ASSERT_TRUE(job->WaitForOutput(
      [](const std::string&, const std::string& err) { return Contains(err, "ssh ended"); }, 30s));
  for (int host : {0, 1}) kit_->Run(host, {"/bin/sh", "-c", "echo go > /tmp/go; rm /tmp/go"});
  const Outcome outcome = job->Wait(30s);

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("[0.0] done"), HasSubstr("[1.1] done")));
  EXPECT_THAT(outcome.err, HasSubstr("host h1: ssh ended (exit code 255); the job goes on"));
}

TEST_F(SshEndTest, CtrlCEndsRanksOnAllHosts) {
  const auto job = Start({"--host", "h0:2,h1:2"}, "echo $RANK; exec sleep 60");
  ASSERT_TRUE(WaitForLines(*job, 4));

  job->Signal(SIGINT);
  const Outcome outcome = job->Wait(20s);

  EXPECT_EQ(outcome.status, 130) << outcome.err;
}

}  // namespace
}  // namespace lockstep::e2e
