// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Groups of ranks on hosts with networks of their own, which ssh reaches.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdio>
#include <memory>
#include <string>
#include <utility>
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
using ::testing::HasSubstr;

class WideHostsTest : public SshFixture {
 protected:
  /// Of `sum_rank`, whose place every host sees.
  static std::string Script(const std::string& arguments) {
    return "exec " + Runfile("tests/e2e/sum_rank") + " " + arguments;
  }
  /// Sockets there that listen on one of these ports.
  int ListeningOn(int host, const std::string& protocol, unsigned first, unsigned last) const {
    int count = 0;
    for (const std::string& line : Lines(kit_->Run(host, {"cat", "/proc/net/" + protocol}).out)) {
      unsigned port = 0, state = 0;
      constexpr unsigned kListen = 10;
      const char* const format = "%*d: %*[0-9A-F]:%x %*[0-9A-F]:%*x %x";
      if (std::sscanf(line.c_str(), format, &port, &state) != 2 || state != kListen) continue;
      if (port >= first && port <= last) ++count;
    }
    return count;
  }
  /// One of two that come by themselves, by IPv6.
  std::unique_ptr<hosts::Program> StartNode(int host) const {
    EXPECT_EQ(
        kit_->Run(host, {"sh", "-c", "umask 077; echo 0123456789abcdefghij > /root/token"}).status,
        0);
    auto started = kit_->Spawn(
        host, RunScript({"--nnodes", "2", "--rdzv-id", "J", "--token-file", "/root/token",
                         "--rdzv-endpoint", "h0-mgmt6:29400", "--port-range", "29410-29419",
                         "--log-prefix=false", "--set", "spec.grace.userStop=0s"},
                        Script("20000")));
    EXPECT_THAT(started, IsOk());
    return started.ok() ? *std::move(started) : nullptr;
  }
};

TEST_F(WideHostsTest, RanksOfFourHostsAddUp) {
  const Outcome outcome =
      RunScriptIt({"--host", "h0:2,h1:2,h2,h3", "--log-prefix=false"}, Script("20000 3"));

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  for (int rank = 0; rank < 6; ++rank)
    EXPECT_THAT(outcome.out, HasSubstr(std::to_string(rank) + " sum 21 over wide\n"));
}

TEST_F(WideHostsTest, RanksListenWithinTheRangeOfPorts) {
  const auto job = Start({"--host", "h0:2,h1:2", "--port-range", "29400-29409",
                          "--log-prefix=false", "--set", "spec.grace.userStop=0s"},
                         Script("20000"));
  ASSERT_TRUE(WaitForLines(*job, 4)) << job->err();

  for (const int host : {0, 1}) EXPECT_EQ(ListeningOn(host, "tcp", 29400, 29409), 2);
  job->Signal(SIGINT);
  (void)job->Wait(20s);
}

// The agents have met by IPv6, so that is what the ranks know of each other.
TEST_F(WideHostsTest, RanksOfAJobThatMetByIpv6UseThat) {
  const auto here = StartNode(0);
  const auto far = StartNode(1);
  ASSERT_TRUE(WaitForLines(*here, 1)) << here->err();
  ASSERT_TRUE(WaitForLines(*far, 1)) << far->err();

  for (const int host : {0, 1}) {
    EXPECT_EQ(ListeningOn(host, "tcp", 29410, 29419), 0);
    EXPECT_EQ(ListeningOn(host, "tcp6", 29410, 29419), 1);
  }
  here->Signal(SIGINT);
  (void)here->Wait(20s);
  (void)far->Wait(20s);
}

// Nobody hears anything more of it: the op's deadline ends the wait, and names the lost rank.
TEST_F(WideHostsTest, AHostThatIsCutOffSilentlyEndsTheOpAtItsDeadline) {
  const auto job =
      Start({"--host", "h0,h1", "--lease", "10s", "--log-prefix=false"}, Script("1500"));
  ASSERT_TRUE(WaitForLines(*job, 2)) << job->err();

  ASSERT_THAT(kit_->Drop(1), IsOk());
  ASSERT_TRUE(job->WaitForOutput(
      [](const std::string& out, const std::string&) { return Contains(out, "0 failed after"); },
      20s))
      << job->out() << job->err();

  const std::string out = job->out();
  const std::string line = out.substr(out.find("0 failed after"));
  int ms = -1;
  EXPECT_EQ(std::sscanf(line.c_str(), "0 failed after %d ms", &ms), 1) << line;
  EXPECT_LE(ms, 2500);
  EXPECT_THAT(line, HasSubstr(" blamed 1:"));
  ASSERT_THAT(kit_->Heal(), IsOk());
  (void)job->Wait(30s);
}

}  // namespace
}  // namespace lockstep::e2e
