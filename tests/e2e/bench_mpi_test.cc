// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// `lockstep bench --compare` with the peers that are installed. Times are never compared with
// anything: the machine that runs tests is busy.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <map>
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

bool IsInstalled(const std::string& peer) {
  return peer == "gloo" || ::access(("/usr/bin/mpirun." + peer).c_str(), X_OK) == 0;
}

bool GlooHas(const std::string& op) {
  return op == "reduce" || op == "broadcast" || op == "all_gather" || op == "all_to_all" ||
         op == "barrier";
}

class BenchPeerTest : public RunFixture, public ::testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    if (!IsInstalled(GetParam())) GTEST_SKIP() << GetParam() << " is not installed";
  }
  Command::Options BenchOptions() const {
    Command::Options options = Options();
    options.environment["OMPI_ALLOW_RUN_AS_ROOT"] = "1";
    options.environment["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] = "1";
    return options;
  }
  Outcome Bench(std::vector<std::string> words,
                const std::map<std::string, std::string>& environment = {}) const {
    std::vector<std::string> all = {LockstepPath(), "bench", "--rounds", "5", "--allow-pressure"};
    all.insert(all.end(), words.begin(), words.end());
    Command::Options options = BenchOptions();
    for (const auto& [name, value] : environment) options.environment[name] = value;
    return Command(all, options).Wait(240s);
  }
};

TEST_P(BenchPeerTest, ComparesWithEveryKnobSetAndPrintsRatios) {
  const Outcome outcome = Bench(
      {"-np", "2",   "--backend", "host", "--compare", GetParam(), "-o", "all_reduce", "-b", "4K",
       "-e",  "64K", "-f",        "4",    "-J",        "out.json", "-n", "2",          "-w", "1"});

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const std::string peer = GetParam();
  EXPECT_THAT(outcome.out, HasSubstr("# " + peer));
  EXPECT_THAT(outcome.out, HasSubstr("# Wrong elements: 0 OK\n"));
  EXPECT_EQ(CountOf(outcome.out, " rounds\n"), 3 * 2) << "each size, in place and out of place\n"
                                                      << outcome.out;
  EXPECT_THAT(outcome.out, HasSubstr("# host against " + peer + ", out of place: geometric mean "));
  EXPECT_THAT(scratch_.Read("out.json"),
              AllOf(HasSubstr("\"ours\": \"host\""), HasSubstr("\"peer\": \"" + peer)));
}

TEST_P(BenchPeerTest, TheOtherOpsAreRightToo) {
  for (const std::string op :
       {"reduce", "broadcast", "all_gather", "reduce_scatter", "all_to_all", "barrier", "gather",
        "scatter", "all_gather_v", "reduce_scatter_v", "all_to_all_v", "batch"}) {
    const Outcome outcome = Bench({"-np", "3", "--backend", GetParam(), "-o", op, "-d", "i32", "-b",
                                   "1200", "-e", "1200", "-n", "1", "-w", "0"});

    EXPECT_EQ(outcome.status, 0) << op << ": " << outcome.err;
    const bool is_there = GetParam() != std::string("gloo") || GlooHas(op);
    EXPECT_THAT(outcome.out, HasSubstr(is_there ? "# Wrong elements: 0 OK\n"
                                                : "# Wrong elements: 0 NONE CHECKED\n"))
        << op;
    EXPECT_EQ(CountOf(outcome.out, ", out of place, at 1 of 1 sizes: "), is_there ? 0 : 1)
        << op << outcome.out;
  }
}

TEST_P(BenchPeerTest, ABusyMachineGetsNoRatio) {
  const std::string spin = "for i in $(seq $(($(nproc) * 3))); do while :; do :; done & done; wait";
  Command others({"/bin/sh", "-c", spin}, Options());
  const size_t many = static_cast<size_t>(::sysconf(_SC_NPROCESSORS_ONLN)) * 3;
  ASSERT_TRUE(Eventually([&] { return scratch_.Leftovers().size() > many; }, 30s));

  Command bench({LockstepPath(), "bench", "-np", "2", "--compare", GetParam(), "-b", "64K", "-e",
                 "64K", "--rounds", "5", "-n", "200"},
                BenchOptions());
  const Outcome outcome = bench.Wait(240s);
  for (const std::string& line : scratch_.Leftovers()) ::kill(std::stoi(line), SIGKILL);

  EXPECT_EQ(outcome.status, 69) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("# no ratio at 65536 bytes: in "));
  EXPECT_THAT(outcome.err, HasSubstr("too busy with other work"));
  EXPECT_EQ(CountOf(outcome.out, "geometric mean"), 0);
}

TEST_P(BenchPeerTest, CtrlCLeavesNothing) {
  Command bench({LockstepPath(), "bench", "-np", "2", "--backend", GetParam(), "--rounds", "1000",
                 "-n", "2000", "-b", "1M", "-e", "1M"},
                BenchOptions());
  // Mid-measurement or before it: either way nothing may be left.
  ASSERT_TRUE(Eventually(
      [&] {
        for (const auto& line : scratch_.Leftovers()) {
          if (Contains(line, "lockstep-bench-") && Contains(line, "/s ")) return true;
        }
        return false;
      },
      30s));

  bench.Signal(SIGINT);
  const Outcome outcome = bench.Wait(30s);

  EXPECT_EQ(outcome.status, 128 + SIGINT) << outcome.err;
  EXPECT_THAT(scratch_.LeftoversAfter(2s), IsEmpty());
}

class BenchOurMpiTest : public BenchPeerTest {};

TEST_P(BenchOurMpiTest, OurWrapperIsMeasuredBesideTheRawLibrary) {
  const Outcome outcome =
      Bench({"-np", "2", "--backend", "mpi", "--compare", GetParam(), "-o", "all_reduce", "-b",
             "1K", "-e", "64K", "-f", "64", "-n", "2", "-w", "1"});

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const std::string mpi = GetParam();
  EXPECT_THAT(outcome.out, HasSubstr("# mpi-" + mpi + ": Lockstep, mpi, no recorder; "));
  EXPECT_THAT(outcome.out, HasSubstr("# Wrong elements: 0 OK\n"));
  EXPECT_THAT(outcome.out, HasSubstr("# mpi-" + mpi + " against " + mpi + ", out of place: "));
}

// Whatever the environment says.
TEST_P(BenchOurMpiTest, WhatComparingCallsCostsIsARatioOfTheSameRun) {
  const Outcome outcome =
      Bench({"--np", "2", "--backend", "mpi", "--check-calls", "-o", "all_reduce", "-b", "1K", "-e",
             "64K", "-f", "64", "-n", "2", "-w", "1", "-J", "out.json"},
            {{"LOCKSTEP_JOB_CHECK", "strict"}});

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const std::string mpi = "mpi-" + std::string(GetParam());
  EXPECT_THAT(outcome.out,
              HasSubstr("# " + mpi + " checked: Lockstep, mpi, no recorder, calls compared; "));
  EXPECT_THAT(outcome.out, HasSubstr("# " + mpi + ": Lockstep, mpi, no recorder; "));
  EXPECT_THAT(outcome.out, HasSubstr("# Wrong elements: 0 OK\n"));
  EXPECT_THAT(outcome.out, HasSubstr("# " + mpi + " checked against " + mpi + ", out of place: "));
  EXPECT_THAT(scratch_.Read("out.json"), AllOf(HasSubstr("\"ours\": \"" + mpi + " checked\""),
                                               HasSubstr("\"peer\": \"" + mpi)));
}

INSTANTIATE_TEST_SUITE_P(Of, BenchOurMpiTest, ::testing::Values("openmpi", "mpich"),
                         [](const auto& mpi) { return std::string(mpi.param); });
INSTANTIATE_TEST_SUITE_P(Of, BenchPeerTest, ::testing::Values("openmpi", "mpich", "gloo"),
                         [](const auto& peer) { return std::string(peer.param); });

}  // namespace
}  // namespace lockstep::e2e
