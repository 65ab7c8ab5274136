// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Jobs of several nodes, as agents on this machine (--simulate-hosts).
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

std::vector<std::string> SortedLines(const std::string& text) {
  std::vector<std::string> lines = Lines(text);
  std::sort(lines.begin(), lines.end());
  return lines;
}

/// "RANK PID" of each line that begins with "agent": the rank's agent. Empty until there are
/// `ranks`.
std::map<int, pid_t> AgentsIn(const std::string& out, size_t ranks) {
  std::map<int, pid_t> agents;
  for (const std::string& line : Lines(out)) {
    int rank = -1;
    pid_t pid = -1;
    const size_t at = line.find("agent ");
    if (at == std::string::npos) continue;
    if (std::sscanf(line.c_str() + at, "agent %d %d", &rank, &pid) == 2) agents[rank] = pid;
  }
  return agents.size() == ranks ? agents : std::map<int, pid_t>();
}

class SeveralNodesTest : public RunFixture {
 protected:
  /// Starts a job of two nodes that says which processes its agents are.
  std::unique_ptr<Command> Start(std::vector<std::string> words, const std::string& script) {
    words.insert(words.begin(), {"--simulate-hosts", "--nnodes", "2", "-np", "2"});
    auto command = std::make_unique<Command>(
        RunScript(std::move(words), "echo agent $RANK $PPID; " + script), Options());
    EXPECT_TRUE(command->WaitForOutput(
        [&](const std::string& out, const std::string&) {
          agents_ = AgentsIn(out, 2);
          return !agents_.empty();
        },
        20s));
    return command;
  }
  /// What lies in the folder of sockets.
  std::vector<std::string> Sockets() const {
    std::vector<std::string> names;
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(scratch_.path() + "/lockstep")) {
      names.push_back(entry.path().filename());
    }
    return names;
  }

  std::map<int, pid_t> agents_;  // of each rank
};

// Those of the job's CA and of its nodes are PEM wherever they pass.
TEST_F(SeveralNodesTest, KeysAreInNoFileArgumentOrEnvironment) {
  const auto job = Start({}, "sleep 60");
  ASSERT_EQ(agents_.size(), 2u);

  for (const auto& [rank, agent] : agents_) {
    for (const char* file : {"/cmdline", "/environ"}) {
      const std::string text = ReadFile("/proc/" + std::to_string(agent) + file);
      EXPECT_NE(text, "");
      EXPECT_FALSE(Contains(text, "PRIVATE KEY")) << file << " of the agent of rank " << rank;
    }
  }
  int files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(scratch_.path())) {
    if (!entry.is_regular_file()) continue;
    ++files;
    EXPECT_FALSE(Contains(ReadFile(entry.path()), "PRIVATE KEY")) << entry.path();
  }
  EXPECT_GT(files, 3) << "state, events and ranks' files";
  job->Signal(SIGINT);
  EXPECT_EQ(job->Wait(20s).status, 130);
}

TEST_F(SeveralNodesTest, EachRankKnowsItsPlaceAndItsLinesNameIt) {
  const Outcome outcome = RunScriptIt(
      {"--simulate-hosts", "--nnodes", "3", "--nproc-per-node", "2"},
      "echo rank $RANK of $WORLD_SIZE, local $LOCAL_RANK of $LOCAL_WORLD_SIZE, group $GROUP_RANK");

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(SortedLines(outcome.out), ElementsAre("[0.0] rank 0 of 6, local 0 of 2, group 0",
                                                    "[0.1] rank 1 of 6, local 1 of 2, group 0",
                                                    "[1.2] rank 2 of 6, local 0 of 2, group 1",
                                                    "[1.3] rank 3 of 6, local 1 of 2, group 1",
                                                    "[2.4] rank 4 of 6, local 0 of 2, group 2",
                                                    "[2.5] rank 5 of 6, local 1 of 2, group 2"));
}

TEST_F(SeveralNodesTest, NodesMayHaveDifferentNumbersOfRanks) {
  const Outcome outcome =
      RunScriptIt({"--simulate-hosts", "--nnodes", "3", "-np", "5", "--log-prefix=false"},
                  "echo $GROUP_RANK: $RANK of $WORLD_SIZE, $LOCAL_RANK of $LOCAL_WORLD_SIZE");

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(SortedLines(outcome.out),
              ElementsAre("0: 0 of 5, 0 of 2", "0: 1 of 5, 1 of 2", "1: 2 of 5, 0 of 2",
                          "1: 3 of 5, 1 of 2", "2: 4 of 5, 0 of 1"));
}

TEST_F(SeveralNodesTest, RanksOfAllNodesMeetAtOneAddress) {
  const Outcome outcome =
      RunScriptIt({"--simulate-hosts", "--nnodes", "2", "-np", "4", "--log-prefix=false"},
                  "echo $MASTER_ADDR:$MASTER_PORT");

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const std::vector<std::string> lines = SortedLines(outcome.out);
  ASSERT_EQ(lines.size(), 4U);
  EXPECT_EQ(lines.front(), lines.back());
}

TEST_F(SeveralNodesTest, ARankThatFailsOnAnotherNodeIsTheCulpritWithItsLastLines) {
  const Outcome outcome =
      RunScriptIt({"--simulate-hosts", "--nnodes", "2", "-np", "4", "--grace", "0"},
                  "[ $RANK = 3 ] && { echo boom >&2; exit 7; }; sleep 60");

  EXPECT_EQ(outcome.status, 7);
  EXPECT_LT(outcome.elapsed, 10s);
  EXPECT_THAT(outcome.err,
              AllOf(HasSubstr("rank 3 failed first: exit code 7"), HasSubstr("-n1, rank 3 of 4"),
                    HasSubstr("| boom"), HasSubstr("victims  3: ranks 0, 1, 2")));
}

/// A node's agent is told of the job in one message of 1 MiB at most, in which arguments stand
/// once.
TEST_F(SeveralNodesTest, ArgumentsThatNearlyFillAMessageReachEveryNode) {
  std::vector<std::string> line = RunScript(
      {"--simulate-hosts", "--nnodes", "2", "-np", "2", "--log-prefix=false"}, "echo $# ${#9}");
  line.insert(line.end(), 10, std::string(100'000, 'x'));

  Command command(line, Options());
  const Outcome outcome = command.Wait(30s);

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(Lines(outcome.out), ElementsAre("9 100000", "9 100000"));
}

/// It was a node that was lost, two seconds later.
TEST_F(SeveralNodesTest, AJobThatNoMessageHoldsIsRefusedBeforeAnAgentStarts) {
  std::vector<std::string> line =
      RunScript({"--simulate-hosts", "--nnodes", "2", "-np", "2", "--name", "long"}, "echo never");
  line.insert(line.end(), 11, std::string(100'000, 'x'));

  Command command(line, Options());
  const Outcome outcome = command.Wait(30s);

  EXPECT_EQ(outcome.status, 64);
  EXPECT_THAT(outcome.out, ::testing::IsEmpty());
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("14 arguments: 11000"), HasSubstr("1048576")));
  EXPECT_THAT(ReadFile(JobFolder("long") + "/verdict.json"), HasSubstr("1048576"));
}

TEST_F(SeveralNodesTest, TheJobDirectoryIsCompleteAndNothingIsUnfinished) {
  const Outcome outcome =
      RunScriptIt({"--simulate-hosts", "--nnodes", "3", "-np", "3", "--name", "job"}, "echo out");

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.err, ::testing::IsEmpty());
  const std::string folder = JobFolder("job");
  EXPECT_THAT(ReadFile(folder + "/spec.yaml"), HasSubstr("nodes: 3"));
  EXPECT_EQ(ReadFile(folder + "/round-0/rank-2.stdout"), "out\n");
  EXPECT_TRUE(std::filesystem::is_empty(folder + "/../.unfinished"));
}

TEST_F(SeveralNodesTest, TheGangRestartsOnAllNodes) {
  const Outcome outcome = RunScriptIt(
      {"--simulate-hosts", "--nnodes", "2", "-np", "4", "--max-restarts", "1", "--grace", "0"},
      "[ $RANK$TORCHELASTIC_RESTART_COUNT = 30 ] && exit 7; "
      "[ $TORCHELASTIC_RESTART_COUNT = 0 ] && sleep 60; echo again");

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(SortedLines(outcome.out),
              ElementsAre("[0.0] again", "[0.1] again", "[1.2] again", "[1.3] again"));
}

TEST_F(SeveralNodesTest, AKilledAgentIsNamedAndEverythingElseEnds) {
  Command command(RunScript({"--simulate-hosts", "--nnodes", "2", "-np", "4"},
                            "echo agent $PPID of $RANK; sleep 60"),
                  Options());
  pid_t agent = -1;
  ASSERT_TRUE(command.WaitForOutput(
      [&](const std::string& out, const std::string&) {
        const size_t at = out.find("[1.3] agent ");
        if (at == std::string::npos || out.find('\n', at) == std::string::npos) return false;
        agent = std::stoi(out.substr(at + 12));
        return true;
      },
      20s));

  ::kill(agent, SIGKILL);
  const auto killed_at = std::chrono::steady_clock::now();
  const Outcome outcome = command.Wait(20s);
  EXPECT_LT(std::chrono::steady_clock::now() - killed_at, 10s);

  EXPECT_EQ(outcome.status, 75);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("node 1"), HasSubstr("was lost"), HasSubstr("-n1")));
}

// Its guard took the coordinator's state in the shared folder for its own, and removed those
// sockets.
TEST_F(SeveralNodesTest, AKilledAgentTakesNobodyElsesSocketsWithIt) {
  const auto command =
      Start({"--name", "job", "--grace", "60"}, "trap '' TERM; sleep 60; sleep 60");
  ASSERT_EQ(agents_.size(), 2U);

  ::kill(agents_[1], SIGKILL);

  ASSERT_TRUE(
      Eventually([this] { return Contains(Verb({"status", "job"}).out, "terminating"); }, 20s));
  EXPECT_THAT(Verb({"status", "job"}).out, HasSubstr("lost"));
  EXPECT_EQ(Verb({"stop", "--now", "job"}).status, 0);
  EXPECT_EQ(command->Wait(20s).status, 75);
  EXPECT_THAT(Sockets(), ::testing::IsEmpty());
}

TEST_F(SeveralNodesTest, AKilledCoordinatorLeavesNothingOfTheHostsItSimulated) {
  const auto command = Start({"--name", "job"}, "sleep 60");
  ASSERT_EQ(agents_.size(), 2U);

  ::kill(agents_[0], SIGKILL);

  EXPECT_EQ(command->Wait(20s).status, 75);
  EXPECT_THAT(Sockets(), ::testing::IsEmpty());
  EXPECT_TRUE(std::filesystem::is_empty(JobFolder("job") + "/../.unfinished"));
}

TEST_F(SeveralNodesTest, WhatAJobLeftThatWasKilledAsAWholeTheNextCommandRemoves) {
  const auto command = Start({"--name", "job"}, "sleep 60");
  ASSERT_EQ(agents_.size(), 2U);

  for (const pid_t stopped : {command->pid(), agents_[0]}) ::kill(stopped, SIGSTOP);
  for (const pid_t guard : ChildrenOf(agents_[0])) ::kill(guard, SIGKILL);
  for (const pid_t killed : {agents_[1], agents_[0], command->pid()}) ::kill(killed, SIGKILL);
  (void)command->Wait(20s);
  EXPECT_THAT(Sockets(), ::testing::Not(::testing::IsEmpty()));

  EXPECT_THAT(Verb({"ps", "--all"}).out, HasSubstr("lost"));
  EXPECT_THAT(Sockets(), ::testing::IsEmpty());
  EXPECT_TRUE(std::filesystem::is_empty(JobFolder("job") + "/../.unfinished"));
}

// Agents that found no place were blamed instead, after 5 s.
TEST_F(SeveralNodesTest, WhereDescriptorsDoNotSufficeForAllNodesNoneIsStarted) {
  Command::Options options = Options();
  options.wrapper = {"prlimit", "--nofile=64"};
  Command command(RunWords({"--simulate-hosts", "--nnodes", "40", "true"}), options);

  const Outcome outcome = command.Wait(20s);

  EXPECT_EQ(outcome.status, 71);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("40 nodes"), HasSubstr("descriptors are needed"),
                                 HasSubstr("ulimit -n")));
  EXPECT_THAT(Sockets(), ::testing::IsEmpty());
}

TEST_F(SeveralNodesTest, CtrlCEndsRanksOnAllNodes) {
  Command command(
      RunScript({"--simulate-hosts", "--nnodes", "2", "-np", "2"}, "echo up; exec sleep 60"),
      Options());
  ASSERT_TRUE(command.WaitForOutput(
      [](const std::string& out, const std::string&) { return SortedLines(out).size() == 2; },
      20s));

  command.Signal(SIGINT);
  const Outcome outcome = command.Wait(20s);

  EXPECT_EQ(outcome.status, 130) << outcome.err;
}

TEST_F(SeveralNodesTest, EveryLineOfAnotherNodeArrives) {
  const Outcome outcome =
      RunScriptIt({"--simulate-hosts", "--nnodes", "2", "-np", "2", "--log-prefix=false"},
                  "for i in $(seq 20000); do echo $RANK $i; done");

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(SortedLines(outcome.out).size(), 40000U);
}

TEST_F(SeveralNodesTest, AnAgentWithoutABootstrapSaysWhatItIsFor) {
  const Outcome outcome = Verb({"agent"});

  EXPECT_EQ(outcome.status, 64);
  EXPECT_THAT(outcome.err, HasSubstr("is started by `lockstep run`"));
}

}  // namespace
}  // namespace lockstep::e2e
