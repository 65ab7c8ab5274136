// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// `lockstep bench` with Lockstep's own gangs. Times are never compared with anything: the machine
// that runs tests is busy.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
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
using ::testing::Not;

// Little work, and every round counts.
const std::vector<std::string> kQuick = {"--rounds", "5", "-n", "2", "-w", "1", "--allow-pressure"};

class BenchTest : public RunFixture {
 protected:
  static std::vector<std::string> Words(const std::vector<std::string>& words) {
    std::vector<std::string> all = {LockstepPath(), "bench"};
    all.insert(all.end(), kQuick.begin(), kQuick.end());
    all.insert(all.end(), words.begin(), words.end());  // a later flag wins
    return all;
  }
  Command::Options BenchOptions() const {
    Command::Options options = Options();
    options.environment["TMPDIR"] = scratch_.path();
    return options;
  }
  Outcome Bench(const std::vector<std::string>& words) const {
    return Command(Words(words), BenchOptions()).Wait(120s);
  }
  /// A measurement that goes on for long, once it has begun.
  std::unique_ptr<Command> StartLong(const std::string& timeout = "60s") const {
    auto bench =
        std::make_unique<Command>(Words({"-np", "2", "-b", "256K", "-e", "64M", "-i", "256K",
                                         "--rounds", "20", "-n", "20", "-c", "0", "-T", timeout}),
                                  BenchOptions());
    EXPECT_TRUE(bench->WaitForOutput(
        [](const std::string& out, const std::string&) { return Contains(out, "GB/s"); }, 60s));
    return bench;
  }
  /// Ranks of the gang, by the command line that only they have.
  static std::vector<pid_t> RanksBelow(pid_t pid) {
    std::vector<pid_t> ranks;
    for (const pid_t child : ChildrenOf(pid)) {
      if (Contains(ReadFile("/proc/" + std::to_string(child) + "/comm"), "lockstep-bench-"))
        ranks.push_back(child);
      for (const pid_t rank : RanksBelow(child)) ranks.push_back(rank);
    }
    return ranks;
  }
  /// Folders that a run has left.
  std::vector<std::string> Folders() const {
    std::vector<std::string> left;
    for (const auto& entry : std::filesystem::directory_iterator(scratch_.path())) {
      if (entry.path().filename().string().starts_with("lockstep-bench-"))
        left.push_back(entry.path());
    }
    return left;
  }
};

TEST_F(BenchTest, EveryOpIsRightAndHasItsRows) {
  for (const std::string op : {"all_reduce", "reduce", "broadcast", "all_gather", "reduce_scatter",
                               "all_to_all", "ping_pong", "barrier", "gather", "scatter",
                               "all_gather_v", "reduce_scatter_v", "all_to_all_v", "batch"}) {
    const Outcome outcome =
        Bench({"-np", "2", "-o", op, "--buffers", "both", "-b", "64", "-e", "64K", "-f", "1024"});

    EXPECT_EQ(outcome.status, 0) << op << ": " << outcome.err << outcome.out;
    EXPECT_THAT(outcome.out, HasSubstr("# Wrong elements: 0 OK\n")) << op;
    EXPECT_EQ(CountOf(outcome.out, " host plain  "), op == "barrier" ? 1 : 2) << outcome.out;
    EXPECT_THAT(outcome.out, Not(HasSubstr("# Did not run"))) << op;
  }
}

TEST_F(BenchTest, TheFloorIsOfEachKindOfBuffersAndRight) {
  const Outcome outcome = Bench({"-np", "2", "--buffers", "both", "--compare", "floor", "-b", "4",
                                 "-e", "64K", "-f", "16384"});

  EXPECT_EQ(outcome.status, 0) << outcome.err << outcome.out;
  EXPECT_THAT(outcome.out, HasSubstr("# floor halves: what an op must at least do; halves, "));
  EXPECT_THAT(outcome.out, HasSubstr("# Wrong elements: 0 OK\n"));
  for (const std::string pair : {"host against floor", "host plain against floor-plain"})
    EXPECT_EQ(CountOf(outcome.out, "# " + pair + ", out of place: geometric mean"), 1)
        << pair << ": no size has its ratio\n"
        << outcome.out;
}

TEST_F(BenchTest, OverTcpOpsAreRightToo) {
  for (const std::string op : {"all_reduce", "all_to_all", "all_to_all_v", "ping_pong", "batch"}) {
    const Outcome outcome = Bench({"-np", "2", "--backend", "tcp", "--buffers", "both", "-o", op,
                                   "-b", "64", "-e", "64K", "-f", "1024"});

    EXPECT_EQ(outcome.status, 0) << op << ": " << outcome.err << outcome.out;
    EXPECT_THAT(outcome.out, HasSubstr("# tcp: Lockstep, tcp over the loopback, recorder on"));
    EXPECT_THAT(outcome.out, HasSubstr("# Wrong elements: 0 OK\n")) << op;
    EXPECT_EQ(CountOf(outcome.out, " tcp plain  "), 2) << outcome.out;
    EXPECT_THAT(outcome.out, Not(HasSubstr("# Did not run"))) << op;
  }
}

TEST_F(BenchTest, AnInterfaceThatDoesNotExistIsNamed) {
  const Outcome outcome = Bench({"-np", "2", "--backend", "tcp", "--interface", "nowhere0"});

  EXPECT_EQ(outcome.status, 69) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("no interface nowhere0 with an IPv4 address; there are: lo"));
}

TEST_F(BenchTest, MoreRanksThanCoresMeetToo) {
  const int cores = static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN));
  const std::string ranks = std::to_string(std::min(cores + 2, 16));
  const Outcome outcome =
      Bench({"-np", ranks, "-d", "bf16", "--redop", "max", "-b", "1000", "-e", "1000"});

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("# Wrong elements: 0 OK\n"));
}

TEST_F(BenchTest, WhatABackendLacksIsADashWithItsReasonNotAnError) {
  const Outcome outcome = Bench({"-np", "2", "-d", "f8e4m3", "-b", "64", "-e", "64"});

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("  f8e4m3 "));
  EXPECT_THAT(outcome.out, Not(HasSubstr(" 0.0")));
  EXPECT_THAT(outcome.out, HasSubstr("# Wrong elements: 0 NONE CHECKED\n"));
  EXPECT_THAT(outcome.out, HasSubstr("# Did not run: host, in place, at 1 of 1 sizes: "));
  EXPECT_THAT(outcome.out, HasSubstr("backend shm has no all_reduce of f8e4m3 with sum\n"));
}

TEST_F(BenchTest, FilesAreWrittenAndNoJobOrFolderIsLeft) {
  const Outcome outcome =
      Bench({"-np", "2", "-b", "4K", "-e", "4K", "-I", "-J", scratch_.path() + "/out.json",
             "--plot", scratch_.path() + "/out.svg"});

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("p99 "));
  EXPECT_THAT(scratch_.Read("out.json"),
              AllOf(HasSubstr("\"op\": \"all_reduce\""), HasSubstr("\"round_us\": [")));
  EXPECT_THAT(scratch_.Read("out.svg"), AllOf(HasSubstr("<svg "), HasSubstr(">host</text>")));
  EXPECT_THAT(Verb({"ps", "--all", "--quiet"}).out, IsEmpty());
  EXPECT_THAT(Folders(), IsEmpty());
}

TEST_F(BenchTest, CapabilitiesArePrintedWithoutAGang) {
  const Outcome outcome = Bench({"--capabilities"});

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  for (const std::string backend : {"shm", "tcp", "mpi", "nccl"})
    EXPECT_THAT(outcome.out, HasSubstr("backend " + backend + "\n  ops: all_reduce reduce"));
}

TEST_F(BenchTest, AMissingRankProgramIsNamed) {
  const std::string alone = scratch_.path() + "/lockstep";
  std::filesystem::copy_file(std::filesystem::canonical(LockstepPath()), alone);

  const Outcome outcome = RunToEnd({alone, "bench", "-np", "2"}, scratch_);

  EXPECT_EQ(outcome.status, 66) << outcome.err;
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("the rank program of host is not beside lockstep: " +
                                           scratch_.path() + "/lockstep-bench-host"),
                                 HasSubstr("No such file")));
}

TEST_F(BenchTest, AFileThatCannotBeWrittenIsSaidBeforeAnythingIsMeasured) {
  const Outcome outcome = Bench({"-np", "2", "-J", "/nowhere/out.json"});

  EXPECT_EQ(outcome.status, 73) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("/nowhere/out.json"));
  EXPECT_THAT(outcome.out, IsEmpty());
}

TEST_F(BenchTest, CtrlCLeavesNothing) {
  for (const int signal : {SIGINT, SIGTERM}) {
    const auto bench = StartLong();
    ASSERT_EQ(RanksBelow(bench->pid()).size(), 2u);

    bench->Signal(signal);
    const Outcome outcome = bench->Wait(30s);

    EXPECT_EQ(outcome.status, 128 + signal) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("interrupted by SIG"));
    EXPECT_THAT(scratch_.LeftoversAfter(2s), IsEmpty());
    EXPECT_THAT(Folders(), IsEmpty());
  }
}

TEST_F(BenchTest, NothingOutlivesAKilledBench) {
  const auto bench = StartLong();

  bench->Signal(SIGKILL);
  bench->Wait(30s);

  EXPECT_THAT(scratch_.LeftoversAfter(20s), IsEmpty());
}

TEST_F(BenchTest, ARankThatDiesIsNamed) {
  const auto bench = StartLong();
  const std::vector<pid_t> ranks = RanksBelow(bench->pid());
  ASSERT_EQ(ranks.size(), 2u);

  ASSERT_EQ(::kill(ranks[0], SIGKILL), 0);
  const Outcome outcome = bench->Wait(60s);

  EXPECT_EQ(outcome.status, 69) << outcome.err;
  EXPECT_THAT(outcome.err, AllOf(HasSubstr(" of host (pid " + std::to_string(ranks[0]) +
                                           ") ended in the middle of "),
                                 HasSubstr("all_reduce of "), HasSubstr("SIGKILL")));
  EXPECT_THAT(Folders(), IsEmpty());
}

TEST_F(BenchTest, ARankThatDoesNotAnswerIsNamed) {
  const auto bench = StartLong("3s");
  const std::vector<pid_t> ranks = RanksBelow(bench->pid());
  ASSERT_EQ(ranks.size(), 2u);

  ASSERT_EQ(::kill(ranks[1], SIGSTOP), 0);
  const Outcome outcome = bench->Wait(60s);

  EXPECT_EQ(outcome.status, 69) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("did not answer within 3s (-T), in "));
}

}  // namespace
}  // namespace lockstep::e2e
