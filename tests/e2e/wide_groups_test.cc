// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Groups of ranks on several nodes, which meet through their agents: agents on this machine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
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
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

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

TEST_F(WideGroupsTest, RanksOfTwoNodesAddUp) {
  const Outcome outcome = RunIt(Words({}, {SumRank(), "20000", "3"}));

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  for (int rank = 0; rank < 4; ++rank)
    EXPECT_THAT(outcome.out, HasSubstr(std::to_string(rank) + " sum 10 over wide\n"));
}

TEST_F(WideGroupsTest, TheJobSaysHowTheirDataGoes) {
  const Outcome outcome =
      RunIt(Words({"--encrypt-data", "--tcp-flows", "3"}, {SumRank(), "20000", "3"}));
  const Outcome plain = RunIt(Words({}, {SumRank(), "20000", "3"}));

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  for (int rank = 0; rank < 4; ++rank)
    EXPECT_THAT(outcome.out, HasSubstr(std::to_string(rank) + " sum 10 over wide\n"));
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("way: "), HasSubstr("encrypted (--encrypt-data)"),
                                 HasSubstr("(--tcp-flows)")));
  EXPECT_THAT(plain.out, AllOf(HasSubstr("way: "), Not(HasSubstr("encrypted")),
                               Not(HasSubstr("--tcp-flows"))));
}

// What is given is not measured, so that each run chooses alike, and gives the same bits.
TEST_F(WideGroupsTest, AJobThatSaysWhatTheNetworkCostsGoesTheSameWayInEachRun) {
  const auto way = [this](const std::string& link) {
    const Outcome outcome =
        RunIt(Words({"--env", "LOCKSTEP_JOB_TCP_LINK=" + link}, {SumRank(), "20000", "3"}));
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    for (const std::string& line : Lines(outcome.out)) {
      if (line.starts_with("way: ")) return line;
    }
    return std::string();
  };
  const std::string slow = way("5000,0.1");

  EXPECT_THAT(slow, HasSubstr("with 4096 us and 0.128 GB/s"));
  EXPECT_EQ(way("5000,0.1"), slow);
  EXPECT_THAT(way("1,10"), HasSubstr("with 1 us and 8.19 GB/s"));
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

TEST_F(WideGroupsTest, ARestartMeetsAgain) {
  const Outcome outcome = RunIt(
      Words({"--max-restarts", "1", "--grace", "5s"},
            {"sh", "-c",
             "if [ $TORCHELASTIC_RESTART_COUNT = 0 ] && [ $RANK = 2 ]; then exit 1; fi; exec " +
                 SumRank() + " 20000 2"}));

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  for (int rank = 0; rank < 4; ++rank)
    EXPECT_THAT(outcome.out, HasSubstr(std::to_string(rank) + " sum 10 over wide\n"));
}

std::vector<std::string> GrowRank(std::vector<std::string> steps) {
  steps.insert(steps.begin(), Runfile("tests/e2e/grow_rank"));
  return steps;
}

// The ranks that a group takes in live on the other machine, or on both.
TEST_F(WideGroupsTest, AGroupGrowsByRanksOfOtherNodes) {
  const Outcome from_one_node = RunIt(Words({}, GrowRank({"-1", "0,1", "2", "3"})));
  const Outcome from_both = RunIt(Words({}, GrowRank({"-1", "3,0", "2,1"})));
  const Outcome from_one_rank = RunIt(Words({}, GrowRank({"-1", "2", "0"})));

  EXPECT_EQ(from_one_node.status, 0) << from_one_node.err;
  EXPECT_THAT(SortedLines(from_one_node.out),
              ElementsAre("0 in 2 sum 3 over shm in round 0", "0 in 3 sum 6 over wide in round 0",
                          "0 in 4 sum 10 over wide in round 0", "1 in 2 sum 3 over shm in round 0",
                          "1 in 3 sum 6 over wide in round 0", "1 in 4 sum 10 over wide in round 0",
                          "2 in 3 sum 6 over wide in round 0", "2 in 4 sum 10 over wide in round 0",
                          "3 in 4 sum 10 over wide in round 0"));
  EXPECT_EQ(from_both.status, 0) << from_both.err;
  EXPECT_THAT(
      SortedLines(from_both.out),
      ElementsAre("0 in 2 sum 5 over tcp in round 0", "0 in 4 sum 10 over wide in round 0",
                  "1 in 4 sum 10 over wide in round 0", "2 in 4 sum 10 over wide in round 0",
                  "3 in 2 sum 5 over tcp in round 0", "3 in 4 sum 10 over wide in round 0"));
  EXPECT_EQ(from_one_rank.status, 0) << from_one_rank.err;
  EXPECT_THAT(SortedLines(from_one_rank.out),
              ElementsAre("0 in 2 sum 4 over tcp in round 0", "2 in 1 sum 3 over alone in round 0",
                          "2 in 2 sum 4 over tcp in round 0"));
}

// In the round that is in force; who is gone from the job is refused, and not waited for.
TEST_F(WideGroupsTest, GroupsOfSurvivorsGrowInTheirRound) {
  const Outcome outcome =
      RunIt(Words({"--on-rank-failure", "keep", "--grace", "5s"}, GrowRank({"1", "2,3", "0"})));

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  std::vector<std::string> grown, refused;
  for (const std::string& line : SortedLines(outcome.out))
    (Contains(line, " refused after ") ? refused : grown).push_back(line);
  EXPECT_THAT(grown,
              ElementsAre("0 in 3 sum 8 over wide in round 1", "2 in 2 sum 7 over shm in round 1",
                          "2 in 3 sum 8 over wide in round 1", "3 in 2 sum 7 over shm in round 1",
                          "3 in 3 sum 8 over wide in round 1"));
  EXPECT_EQ(refused.size(), 3u) << outcome.out;
  for (const std::string& line : refused) {
    int ms = -1;
    EXPECT_EQ(std::sscanf(line.c_str(), "%*d refused after %d ms", &ms), 1) << line;
    EXPECT_LT(ms, 10'000) << line;
    EXPECT_THAT(line, AllOf(HasSubstr("UNAVAILABLE"),
                            HasSubstr("rank 1 is gone (killed by signal 9 (SIGKILL))")));
  }
}

std::string Hex(const std::string& bytes, const char* digits) {
  std::string text;
  for (const char byte : bytes) {
    const auto value = static_cast<unsigned char>(byte);
    text += digits[value / 16];
    text += digits[value % 16];
  }
  return text;
}

/// Files below `folder`, and processes that can be looked at, that show `key`; not below `except`.
std::vector<std::string> PlacesOf(const std::string& key, const std::string& folder,
                                  const std::string& except) {
  const std::string lower = Hex(key, "0123456789abcdef"), upper = Hex(key, "0123456789ABCDEF");
  std::vector<std::string> places;
  const auto look = [&](const std::string& path) {
    const std::string text = ReadFile(path);
    if (Contains(text, key) || Contains(text, lower) || Contains(text, upper))
      places.push_back(path);
  };
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file() && entry.path().parent_path() != except) look(entry.path());
  }
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    look(entry.path() / "environ");
    look(entry.path() / "cmdline");
  }
  return places;
}

TEST_F(WideGroupsTest, NothingSecretIsInFilesEnvironmentsOrArguments) {
  const std::string keys = scratch_.path() + "/keys";
  std::filesystem::create_directory(keys);
  Command job(RunWords(Words({"--grace", "5s"}, {Runfile("tests/e2e/key_rank"), keys})), Options());
  std::string out;
  ASSERT_TRUE(job.WaitForOutput(
      [&out](const std::string& text, const std::string&) {
        out = text;
        return CountOf(text, "up ") == 4;
      },
      30s));

  const std::string key = ReadFile(keys + "/0");
  ASSERT_EQ(key.size(), 32u);
  EXPECT_EQ(ReadFile(keys + "/3"), key) << "it is the one that all prove themselves with";
  for (const std::string& line : Lines(out)) {
    int rank = -1, agent = -1;
    pid_t pid = -1;
    ASSERT_EQ(std::sscanf(line.c_str(), "up %d %d %d", &rank, &pid, &agent), 3) << line;
    for (const pid_t process : {pid, agent, job.pid()})
      EXPECT_NE(ReadFile("/proc/" + std::to_string(process) + "/environ"), "") << "looked at";
  }
  EXPECT_THAT(PlacesOf(key, scratch_.path(), keys), IsEmpty());

  // It would have been found.
  const std::string hex = Hex(key, "0123456789abcdef");
  scratch_.Write("leak", "key: " + key);
  Command::Options shown = Options();
  shown.environment["KEY"] = hex;
  const Command leak({"tail", "-f", "/dev/null", hex}, shown);
  const std::string leaked = "/proc/" + std::to_string(leak.pid());
  EXPECT_TRUE(Eventually([&] { return PlacesOf(key, scratch_.path(), keys).size() == 3; }, 10s));
  EXPECT_THAT(
      PlacesOf(key, scratch_.path(), keys),
      UnorderedElementsAre(scratch_.path() + "/leak", leaked + "/environ", leaked + "/cmdline"));
  job.Signal(SIGINT);
  EXPECT_EQ(job.Wait(20s).status, 130);
}

}  // namespace
}  // namespace lockstep::e2e
