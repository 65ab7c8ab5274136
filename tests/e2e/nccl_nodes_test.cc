// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Groups of backend nccl with ranks on several nodes, which are agents on this machine, over the
// fake NCCL and CUDA, which are found as the real ones are.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/e2e/command.h"
#include "tests/e2e/run_fixture.h"

namespace lockstep::e2e {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// Two nodes with two ranks each.
class NcclNodesTest : public RunFixture {
 protected:
  NcclNodesTest() {
    std::filesystem::create_directories(libraries_);
    const auto fake = std::filesystem::canonical("collectives/nccl/testing/libfake_nccl_2_30.so");
    for (const char* const name : {"libnccl.so.2", "libcudart.so.13"})
      std::filesystem::create_symlink(fake, libraries_ + "/" + name);
  }
  std::unique_ptr<Command> Start(const std::vector<std::string>& program,
                                 const std::vector<std::string>& more = {},
                                 const std::string& faults = "") const {
    std::vector<std::string> words{"--simulate-hosts",
                                   "--nnodes",
                                   "2",
                                   "--nproc-per-node",
                                   "2",
                                   "--backend",
                                   "nccl",
                                   "--grace",
                                   "10s",
                                   "--log-prefix=false"};
    words.insert(words.end(), more.begin(), more.end());
    words.push_back("--");
    words.insert(words.end(), program.begin(), program.end());
    Command::Options options = Options();
    options.environment["LD_LIBRARY_PATH"] = libraries_;
    options.environment["FAKE_NCCL_FAULTS"] = faults;
    return std::make_unique<Command>(RunWords(words), options);
  }
  static std::string GpuRank() { return Runfile("tests/e2e/gpu_rank"); }
  /// Processes of the ranks, once all have added up.
  std::map<int, pid_t> AwaitUp(Command& job) const {
    std::map<int, pid_t> pids;
    EXPECT_TRUE(job.WaitForOutput(
        [&pids](const std::string& out, const std::string&) {
          for (const std::string& line : Lines(out)) {
            int rank = -1;
            pid_t pid = -1;
            if (std::sscanf(line.c_str(), "up %d %d", &rank, &pid) == 2) pids[rank] = pid;
          }
          return pids.size() == 4;
        },
        60s));
    return pids;
  }
  /// That rank's line about how its op ended, which was in time.
  static std::string FailureOf(int rank, const Outcome& outcome, int at_most_ms) {
    const std::string begin = std::to_string(rank) + " failed after ";
    for (const std::string& line : Lines(outcome.out)) {
      if (!line.starts_with(begin)) continue;
      int ms = -1;
      EXPECT_EQ(std::sscanf(line.c_str(), "%*d failed after %d ms", &ms), 1) << line;
      EXPECT_LE(ms, at_most_ms) << line;
      return line;
    }
    ADD_FAILURE() << "rank " << rank << " says nothing: " << outcome.out << outcome.err;
    return "";
  }

  const std::string libraries_ = scratch_.path() + "/lib";
};

TEST_F(NcclNodesTest, GroupsWithinAndAcrossNodesAddUpAndSend) {
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{}, {"--check", "strict"}, {"--encrypt-data"}}) {
    const Outcome outcome = Start({GpuRank(), "groups", "60000"}, more)->Wait(120s);

    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_THAT(outcome.out, AllOf(HasSubstr("0 world 10 half 3 across 4 shrunk 6 received 4\n"),
                                   HasSubstr("1 world 10 half 3 across 6 shrunk 6 received 1\n"),
                                   HasSubstr("2 world 10 half 7 across 4 shrunk 6 received 2\n"),
                                   HasSubstr("3 world 10 half 7 across 6 received 3\n")));
  }
}

TEST_F(NcclNodesTest, ARankThatIsKilledIsBlamedAndTheOthersGoOn) {
  const auto job = Start({GpuRank(), "loop", "2000"});
  auto pids = AwaitUp(*job);
  ASSERT_EQ(pids.size(), 4u);

  ASSERT_EQ(::kill(pids[3], SIGKILL), 0);
  const Outcome outcome = job->Wait(60s);

  for (const int rank : {0, 1, 2}) {
    EXPECT_THAT(FailureOf(rank, outcome, 3000), HasSubstr(" blamed 3:"));
    EXPECT_THAT(outcome.out, HasSubstr(std::to_string(rank) + " survivors 6\n"));
  }
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("rank 3"), HasSubstr("SIGKILL")));
}

TEST_F(NcclNodesTest, ARankThatIsStoppedIsBlamedAtTheDeadline) {
  const auto job = Start({GpuRank(), "loop", "2000"});
  auto pids = AwaitUp(*job);
  ASSERT_EQ(pids.size(), 4u);

  ASSERT_EQ(::kill(pids[1], SIGSTOP), 0);
  EXPECT_TRUE(job->WaitForOutput(
      [](const std::string& out, const std::string&) { return CountOf(out, " survivors ") == 3; },
      60s));
  ASSERT_EQ(::kill(pids[1], SIGKILL), 0);
  const Outcome outcome = job->Wait(60s);

  for (const int rank : {0, 2, 3}) {
    const std::string line = FailureOf(rank, outcome, 3000);
    EXPECT_THAT(line, AllOf(HasSubstr(" blamed 1:"), HasSubstr("ran out of its 2s")));
    EXPECT_THAT(outcome.out, HasSubstr(std::to_string(rank) + " survivors 8\n"));
  }
}

// NCCL says that it has lost somebody, long before the deadline, and not whom.
TEST_F(NcclNodesTest, WhomNcclHasLostIsSaidBesideIt) {
  const Outcome outcome = Start({GpuRank(), "dies", "60000"}, {}, "async_error=0:1")->Wait(60s);

  for (const int rank : {0, 1, 2}) {
    EXPECT_THAT(FailureOf(rank, outcome, 5000),
                AllOf(HasSubstr(" blamed 3:"), HasSubstr("result 6"), HasSubstr("; rank 3 ")));
  }
}

TEST_F(NcclNodesTest, CallsThatDifferAreOneErrorOnAllNodes) {
  const Outcome outcome =
      Start({GpuRank(), "mismatch", "30000"}, {"--check", "strict"})->Wait(120s);

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  for (const int rank : {0, 1, 2, 3}) {
    EXPECT_THAT(FailureOf(rank, outcome, 10'000),
                AllOf(HasSubstr(" blamed 3:"),
                      HasSubstr("the members disagree on op 2 of group world: ranks 0, 1, 2 called "
                                "all_reduce(i32, sum, 1) at "),
                      HasSubstr("; rank 3 called all_reduce(i32, min, 1) at ")));
  }
}

TEST_F(NcclNodesTest, ARankThatSaidThatItWouldBeLateIsWaitedFor) {
  const Outcome outcome = Start({GpuRank(), "late", "1500"})->Wait(120s);

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  for (const int rank : {0, 1, 2, 3})
    EXPECT_THAT(outcome.out, HasSubstr(std::to_string(rank) + " sum 10\n"));
}

TEST_F(NcclNodesTest, ASendThatNeverComesIsMissedOfItsRank) {
  const Outcome outcome = Start({GpuRank(), "sends", "1500"})->Wait(120s);

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(FailureOf(0, outcome, 20'000),
              AllOf(HasSubstr(" blamed 3:"), HasSubstr("rank 3 never sent it")));
  for (const int rank : {1, 2, 3})
    EXPECT_THAT(FailureOf(rank, outcome, 20'000), HasSubstr(" blamed 3:"));
}

TEST_F(NcclNodesTest, ARankThatNeverJoinsIsNamedOnAllNodes) {
  const Outcome outcome =
      Start(
          {"sh", "-c", "[ $RANK = 1 ] && exec sleep 60; exec " + GpuRank() + " groups 10000 3000"})
          ->Wait(60s);

  EXPECT_EQ(outcome.status, 1);
  EXPECT_GE(CountOf(outcome.err, "joining group world: rank 1 never came within "), 3)
      << outcome.err;
  EXPECT_THAT(scratch_.LeftoversAfter(2s), IsEmpty());
}

}  // namespace
}  // namespace lockstep::e2e
