// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "tests/e2e/command.h"

namespace lockstep::bench {
namespace {

using namespace std::chrono_literals;
using e2e::Outcome;
using e2e::Runfile;

// More than a benchmark's own waits for its peers come to (failure_benchmark: 100 s for those that
// start nothing on a busy machine), so that it says itself who hung.
constexpr auto kPatience = 200s;

/// A benchmark with --quick: its exit status says whether the bars hold that any machine must meet.
Outcome RunQuickly(const std::string& benchmark) {
  const e2e::Scratch scratch;
  return e2e::RunToEnd(
      {Runfile("tests/bench/" + benchmark), Runfile("launcher/lockstep"),
       Runfile("tests/bench/rank_program"), Runfile("tests/bench/torchrun.py"), "--quick"},
      scratch, kPatience);
}

TEST(QuickBenchmarkTest, LaunchAndVersion) {
  const Outcome outcome = RunQuickly("launch_benchmark");
  EXPECT_EQ(outcome.status, 0) << outcome.out << outcome.err;
}

TEST(QuickBenchmarkTest, LossOfARankAndRestart) {
  const Outcome outcome = RunQuickly("failure_benchmark");
  EXPECT_EQ(outcome.status, 0) << outcome.out << outcome.err;
}

TEST(QuickBenchmarkTest, FourHostsThatSshReaches) {
  const Outcome outcome = RunQuickly("hosts_benchmark");
  EXPECT_EQ(outcome.status, 0) << outcome.out << outcome.err;
}

TEST(QuickBenchmarkTest, AgentOfSixtyFourRanks) {
  const Outcome outcome = RunQuickly("agent_benchmark");
  EXPECT_EQ(outcome.status, 0) << outcome.out << outcome.err;
}

TEST(QuickBenchmarkTest, OutputOfEightRanks) {
  const Outcome outcome = RunQuickly("output_benchmark");
  EXPECT_EQ(outcome.status, 0) << outcome.out << outcome.err;
}

TEST(QuickBenchmarkTest, JobsOfSeveralNodes) {
  const Outcome outcome = RunQuickly("nodes_benchmark");
  EXPECT_EQ(outcome.status, 0) << outcome.out << outcome.err;
}

TEST(QuickBenchmarkTest, CollectivesWithinAMachine) {
  const Outcome outcome = RunQuickly("machine_benchmark");
  EXPECT_EQ(outcome.status, 0) << outcome.out << outcome.err;
}

TEST(QuickBenchmarkTest, PushAgainstPull) {
  const Outcome outcome = RunQuickly("push_benchmark");
  if (outcome.status == 77) GTEST_SKIP() << outcome.err;
  EXPECT_EQ(outcome.status, 0) << outcome.out << outcome.err;
}

TEST(QuickBenchmarkTest, CollectivesBetweenNamespaces) {
  const Outcome outcome = RunQuickly("tcp_benchmark");
  if (outcome.status == 77) GTEST_SKIP() << outcome.err;
  EXPECT_EQ(outcome.status, 0) << outcome.out << outcome.err;
}

TEST(QuickBenchmarkTest, FormationOfManyNodes) {
  const Outcome outcome = RunQuickly("formation_benchmark");
  EXPECT_EQ(outcome.status, 0) << outcome.out << outcome.err;
}

}  // namespace
}  // namespace lockstep::bench
