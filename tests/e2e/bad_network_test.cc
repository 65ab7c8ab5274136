// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Jobs over networks that lose, delay or choke what is sent, and ones that pass it one way only:
// none is lost that need not be, and one that is gets its name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/testing/status_matchers.h"
#include "tests/e2e/run_fixture.h"
#include "tests/e2e/ssh_fixture.h"
#include "tests/hosts/delay_proxy.h"
#include "tests/hosts/hosts.h"

namespace lockstep::e2e {
namespace {

using namespace std::chrono_literals;
using base::testing::IsOk;
using hosts::DelayProxy;
using hosts::Hosts;
using hosts::kController;
using hosts::Nic;
using hosts::Program;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

using Clock = std::chrono::steady_clock;

/// The lines that the command says it has not shown.
size_t CountDropped(const std::string& err) {
  size_t count = 0;
  for (const std::string& line : Lines(err)) {
    if (!Contains(line, " lines of node ")) continue;
    EXPECT_THAT(line, HasSubstr("the console or the network on the way to it is too slow"));
    count += std::stoul(line.substr(line.find_first_of("0123456789")));
  }
  return count;
}

class BadNetworkTest : public SshFixture {
 protected:
  /// A job of h0, h1 and h2 whose ranks say "up N" and stay, short of time to notice what is lost.
  std::unique_ptr<Program> StartSleepers() {
    auto job = Start({"--host", "h0,h1,h2", "--grace", "0", "--lease", "1s"},
                     "echo up $RANK; exec sleep 100");
    EXPECT_TRUE(WaitForLines(*job, 3)) << job->err();
    return job;
  }
  /// Of a job that ran into trouble with h1 at `since`.
  void ExpectItNamesH1(Program& job, Clock::time_point since) {
    const Outcome outcome = job.Wait(20s);

    EXPECT_LT(Clock::now() - since, 10s);
    EXPECT_EQ(outcome.status, 75);
    EXPECT_THAT(outcome.err, AllOf(HasSubstr("node 1"), HasSubstr("h1"), HasSubstr("was lost")));
    EXPECT_TRUE(Eventually([&] { return kit_->CountProcesses(1) == 0; }, 5s));
  }
  std::unique_ptr<Program> StartNode(int host, std::vector<std::string> words,
                                     const std::string& script) {
    const std::string token = "0123456789abcdefghij\n";
    EXPECT_EQ(
        kit_->Run(host, {"sh", "-c", "umask 077; cat > /root/token"}, {.input = token}).status, 0);
    words.insert(words.begin(), {"--nnodes", "2", "--rdzv-id", "J", "--token-file", "/root/token"});
    auto started = kit_->Spawn(host, RunScript(std::move(words), script));
    EXPECT_THAT(started, IsOk());
    return started.ok() ? *std::move(started) : nullptr;
  }
};

// From before the log-ins on: what is sent twice arrives, and no lease of 2 s runs out.
TEST_F(BadNetworkTest, AHostThatLosesEveryTwentiethPacketIsNotLost) {
  ASSERT_THAT(kit_->Lossy(1, 5), IsOk());

  const Outcome outcome =
      RunScriptIt({"--host", "h0,h1,h2", "--log-prefix=false"},
                  "for i in $(seq 50); do echo line $i of $RANK; sleep 0.1; done");

  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(outcome.err, Not(HasSubstr("lost")));
  EXPECT_EQ(Lines(outcome.out).size(), 150u);
}

// 5 MB of output are 4 s of all that the link can carry, and heartbeats go the same way.
TEST_F(BadNetworkTest, AHostWhoseLinkIsFullOfOutputIsNotLost) {
  const auto job = Start({"--host", "h0,h1,h2", "--log-prefix=false"},
                         "echo up; while [ ! -e /tmp/go ]; do sleep 0.1; done; rm /tmp/go; "
                         "[ $RANK = 1 ] && seq 700000 && sleep 8; echo done");
  ASSERT_TRUE(WaitForLines(*job, 3)) << job->err();

  ASSERT_THAT(kit_->Slow(1, 10), IsOk());
  for (const int host : {0, 1, 2}) EXPECT_EQ(kit_->Run(host, {"touch", "/tmp/go"}).status, 0);
  const Outcome outcome = job->Wait(60s);

  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(outcome.err, Not(HasSubstr("lost")));
  EXPECT_EQ(Lines(outcome.out).size(), 700'006u) << outcome.err;
}

// The job is over when most of that is still to be sent: what the node drops then it counts, and
// what it has no time to send or to tell makes the one line that says so. When the rank has ended,
// the user is told of that sooner than of all that it wrote.
TEST_F(BadNetworkTest, OutputThatASlowLinkHoldsUpAtTheEndIsShownOrAccountedFor) {
  for (const int mbit : {5, 1}) {
    SCOPED_TRACE(mbit);
    const auto job = Start({"--host", "h0,h1", "--log-prefix=false", "--lease", "60s"},
                           "echo up; while [ ! -e /tmp/go ]; do sleep 0.1; done; rm /tmp/go; "
                           "[ $RANK = 0 ] || seq 700000");
    ASSERT_TRUE(WaitForLines(*job, 2)) << job->err();

    ASSERT_THAT(kit_->Slow(1, mbit), IsOk());
    for (const int host : {0, 1}) EXPECT_EQ(kit_->Run(host, {"touch", "/tmp/go"}).status, 0);
    const Outcome outcome = job->Wait(90s);
    ASSERT_THAT(kit_->Heal(), IsOk());

    const size_t shown = Lines(outcome.out).size();
    const size_t told = CountDropped(outcome.err);
    const bool is_named = Contains(outcome.err, "node 1 (host h1) ended before all of its output");
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_TRUE(shown + told == 700'002 || is_named) << shown << "+" << told << "\n" << outcome.err;
    // All that may be under way at the end goes through the first in time, and not through the
    // other.
    EXPECT_EQ(is_named, mbit == 1) << shown << "+" << told << "\n" << outcome.err;
  }
}

TEST_F(BadNetworkTest, ThirtyMillisecondsEachWayAreNoLoss) {
  auto proxy = DelayProxy::Start({.listen_address = Hosts::Ipv4(1, Nic::kMgmt),
                                  .target_address = Hosts::Ipv4(0, Nic::kMgmt),
                                  .target_port = 29400,
                                  .delay = 30ms,
                                  .jitter = 5ms,
                                  .network = kit_->OpenNetwork(1)});
  ASSERT_THAT(proxy, IsOk());
  const std::string script = "for i in $(seq 30); do echo line $i of $RANK; sleep 0.1; done";

  const auto here = StartNode(0, {"--rdzv-endpoint", "h0:29400"}, script);
  const auto far = StartNode(
      1, {"--rdzv-endpoint", "h1:" + std::to_string((*proxy)->port()), "--rdzv-conf", "is_host=0"},
      script);
  const Outcome outcome = here->Wait(30s);
  const Outcome far_outcome = far->Wait(30s);

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(far_outcome.status, 0) << far_outcome.err;
  EXPECT_EQ(Lines(far_outcome.out).size(), 30u) << far_outcome.out;
}

// Its connection is whole, for all that it can tell: what it says is acknowledged by nobody.
TEST_F(BadNetworkTest, AHostThatIsNotHeardIsNamed) {
  const auto job = StartSleepers();

  ASSERT_THAT(kit_->DropOneWay({.from = 1, .to = kController}), IsOk());

  ExpectItNamesH1(*job, Clock::now());
}

// It is heard until its own lease has run out, since nothing renews that.
TEST_F(BadNetworkTest, AHostThatDoesNotHearEndsItsRanksAndIsNamed) {
  const auto job = StartSleepers();

  ASSERT_THAT(kit_->DropOneWay({.from = kController, .to = 1}), IsOk());

  ExpectItNamesH1(*job, Clock::now());
}

// Whether its link is down or all is silent: what it runs ends with its lease, and so does its
// agent.
TEST_F(BadNetworkTest, OnAHostThatIsCutOffNothingRunsOnceItsLeaseIsOver) {
  for (const bool silent : {true, false}) {
    SCOPED_TRACE(silent ? "silent" : "link down");
    const auto job = Start({"--host", "h0,h1,h2", "--grace", "0"}, "echo up; exec sleep 100");
    ASSERT_TRUE(WaitForLines(*job, 3)) << job->err();
    ASSERT_GT(kit_->CountProcesses(1), 0);

    const Clock::time_point since = Clock::now();
    ASSERT_THAT(silent ? kit_->Drop(1) : kit_->Cut(1), IsOk());
    EXPECT_TRUE(Eventually([&] { return kit_->CountProcesses(1) == 0; }, 10s));
    EXPECT_LT(Clock::now() - since, 2s + 1s) << "the lease and what a busy machine may add";

    ExpectItNamesH1(*job, since);
    ASSERT_THAT(kit_->Heal(), IsOk());
  }
}

}  // namespace
}  // namespace lockstep::e2e
