// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Groups of ranks on several nodes, which meet through their agents: agents on this machine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/e2e/command.h"
#include "tests/e2e/run_fixture.h"

namespace lockstep::e2e {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> SortedLines(const std::string& text) {
  std::vector<std::string> lines = Lines(text);
  std::sort(lines.begin(), lines.end());
  return lines;
}

/// Of lines "up RANK PID".
std::map<int, pid_t> PidsIn(const std::string& out) {
  std::map<int, pid_t> pids;
  for (const std::string& line : Lines(out)) {
    int rank = -1;
    pid_t pid = -1;
    if (std::sscanf(line.c_str(), "up %d %d", &rank, &pid) == 2) pids[rank] = pid;
  }
  return pids;
}

class WideGroupsTest : public RunFixture {
 protected:
  /// Two nodes with two ranks each.
  static std::vector<std::string> Words(std::vector<std::string> more,
                                        const std::vector<std::string>& program) {
    std::vector<std::string> words{"--simulate-hosts", "--nnodes", "2",
                                   "--nproc-per-node", "2",        "--log-prefix=false"};
    words.insert(words.end(), more.begin(), more.end());
    words.push_back("--");
    words.insert(words.end(), program.begin(), program.end());
    return words;
  }
  static std::string SumRank() { return Runfile("tests/e2e/sum_rank"); }
  std::unique_ptr<Command> Start(const std::string& timeout_ms) {
    auto command = std::make_unique<Command>(
        RunWords(Words({"--grace", "5s"}, {SumRank(), timeout_ms})), Options());
    EXPECT_TRUE(command->WaitForOutput(
        [this](const std::string& out, const std::string&) {
          pids_ = PidsIn(out);
          return pids_.size() == 4;
        },
        30s));
    return command;
  }

  std::map<int, pid_t> pids_;  // of the ranks
};

TEST_F(WideGroupsTest, RanksOfTwoNodesAddUpOverTcp) {
  const Outcome outcome = RunIt(Words({}, {SumRank(), "20000", "3"}));

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  for (int rank = 0; rank < 4; ++rank)
    EXPECT_THAT(outcome.out, HasSubstr(std::to_string(rank) + " sum 10 over tcp\n"));
}

TEST_F(WideGroupsTest, TheExampleNeedsNoChange) {
  const Outcome outcome = RunIt(Words({}, {Runfile("examples/all_reduce/all_reduce")}));

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(SortedLines(outcome.out),
              ElementsAre("rank 0 of 4: sum 10, average of its half 1.0",
                          "rank 1 of 4: sum 10, average of its half 2.0",
                          "rank 2 of 4: sum 10, average of its half 1.0",
                          "rank 3 of 4: sum 10, average of its half 2.0"));
}

TEST_F(WideGroupsTest, ARankThatIsKilledIsBlamedByTheOthers) {
  const auto job = Start("1000");
  ASSERT_EQ(pids_.size(), 4u);

  ASSERT_EQ(::kill(pids_[3], SIGKILL), 0);
  const Outcome outcome = job->Wait(30s);

  for (const int rank : {0, 1, 2}) {
    int ms = -1;
    const size_t at = outcome.out.find(std::to_string(rank) + " failed after ");
    ASSERT_NE(at, std::string::npos) << outcome.out << outcome.err;
    const std::string line = outcome.out.substr(at, outcome.out.find('\n', at) - at);
    EXPECT_EQ(std::sscanf(line.c_str(), "%*d failed after %d ms", &ms), 1) << line;
    EXPECT_LE(ms, 2000) << line;
    EXPECT_THAT(line, HasSubstr(" blamed 3:"));
  }
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("rank 3"), HasSubstr("SIGKILL")));
}

TEST_F(WideGroupsTest, ARankThatNeverJoinsIsNamedOnAllNodes) {
  const Outcome outcome = RunIt(
      Words({"--grace", "5s"},
            {"sh", "-c", "[ $RANK = 1 ] && exec sleep 60; exec " + SumRank() + " 1000 1 3000"}));

  EXPECT_EQ(outcome.status, 1);
  EXPECT_GE(CountOf(outcome.err, "joining group world: rank 1 never came within "), 3)
      << outcome.err;
  EXPECT_LT(outcome.elapsed, 20s);
}

// The key of a round is of no use in the next, and ranks of the old one are not met.
TEST_F(WideGroupsTest, ARestartMeetsAgain) {
  const Outcome outcome = RunIt(
      Words({"--max-restarts", "1", "--grace", "5s"},
            {"sh", "-c",
             "if [ $TORCHELASTIC_RESTART_COUNT = 0 ] && [ $RANK = 2 ]; then exit 1; fi; exec " +
                 SumRank() + " 20000 2"}));

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  for (int rank = 0; rank < 4; ++rank)
    EXPECT_THAT(outcome.out, HasSubstr(std::to_string(rank) + " sum 10 over tcp\n"));
}

TEST_F(WideGroupsTest, NothingSecretIsInARanksEnvironmentOrArguments) {
  const Outcome outcome = RunScriptIt(
      {"--simulate-hosts", "--nnodes", "2", "--nproc-per-node", "1", "--log-prefix=false"},
      "env | grep ^LOCKSTEP_ | cut -d= -f1 | sort -u");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(CountOf(outcome.out, "KEY") + CountOf(outcome.out, "SECRET"), 0) << outcome.out;
  EXPECT_EQ(CountOf(outcome.out, "LOCKSTEP_COOKIE"), 2) << outcome.out;
}

}  // namespace
}  // namespace lockstep::e2e
