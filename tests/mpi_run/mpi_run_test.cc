// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// MPI programs that have never heard of Lockstep under `lockstep run`, without an mpirun: they find
// each other, start again, are aborted and are named when they hang, and nothing of them is left.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "tests/e2e/command.h"
#include "tests/e2e/run_fixture.h"

namespace lockstep::e2e {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// The screen wraps lines.
std::string Unwrapped(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

/// What lies in memory under this test's name: of Open MPI's ranks.
std::vector<std::string> FoldersOf(const std::string& job) {
  std::vector<std::string> folders;
  const std::string prefix = "lockstep-" + std::to_string(::getuid()) + "-" + job + "-";
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm")) {
    if (entry.path().filename().string().starts_with(prefix)) folders.push_back(entry.path());
  }
  return folders;
}

class MpiRunTest : public RunFixture, public ::testing::WithParamInterface<const char*> {
 protected:
  void TearDown() override {
    EXPECT_THAT(FoldersOf(name_), IsEmpty());
    RunFixture::TearDown();
  }
  static std::string Rank() {
    return Runfile(std::string("tests/mpi_run/mpi_run_rank_") + GetParam());
  }
  std::vector<std::string> Words(int ranks, std::vector<std::string> flags,
                                 const std::string& fault = "none", int victim = 1) const {
    std::vector<std::string> words{"-np", std::to_string(ranks), "--name", name_};
    words.insert(words.end(), flags.begin(), flags.end());
    for (const std::string& word : {std::string("--"), Rank(), fault, std::to_string(victim)})
      words.push_back(word);
    return words;
  }
  std::string VerdictOf(const std::string& file) const {
    return ReadFile(JobFolder(name_) + "/" + file);
  }

  // Of this process's tests alone: what is left is looked for by it.
  const std::string name_ = "mpi-run-" + std::to_string(::getpid());
};

TEST_P(MpiRunTest, RanksFindEachOther) {
  const std::vector<std::pair<int, std::string>> sums = {{1, "1"}, {2, "3"}, {4, "10"}};
  for (const auto& [ranks, sum] : sums) {
    const Outcome run = RunIt(Words(ranks, {}));
    EXPECT_EQ(run.status, 0) << run.err;
    EXPECT_EQ(CountOf(run.out, " of " + std::to_string(ranks) + ": sum " + sum + "\n"), ranks)
        << run.out;
    EXPECT_EQ(run.err, "");
  }
}

/// Whose groups are Lockstep's, and go over the MPI that they load.
TEST_P(MpiRunTest, RanksOfOursMeetOverIt) {
  const std::string mpi = GetParam();
  const Outcome run =
      RunIt({"-np", "3", "--name", name_, "--backend", "mpi", "--mpi",
             mpi == "openmpi" ? "pmix" : "pmi1", "--max-restarts", "1", "--", "env",
             "LOCKSTEP_MPI_LIBRARY=" + Runfile("collectives/mpi/liblockstep_mpi_" + mpi + ".so"),
             Runfile("tests/faults/hang_rank"), "stops", "1"});
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_EQ(CountOf(run.out, " is through"), 3) << "in the round after";
  EXPECT_THAT(run.err, HasSubstr("lockstep: rank 1 has not come to all_reduce("));
}

TEST_P(MpiRunTest, ALostRankIsReplacedWithTheWholeGang) {
  for (const int victim : {0, 2}) {
    const Outcome run =
        RunIt(Words(3, {"--max-restarts", "1", "--grace", "200ms"}, "dies", victim));
    EXPECT_EQ(run.status, 0) << run.err;
    EXPECT_EQ(CountOf(run.out, " of 3: sum 6\n"), 3) << run.out;
    EXPECT_THAT(run.err, AllOf(HasSubstr("lockstep: rank " + std::to_string(victim) +
                                         " failed first: killed by signal 9"),
                               HasSubstr("restart 1 of 1")));
  }
}

TEST_P(MpiRunTest, EachOfManyRoundsHasAWorldOfItsOwn) {
  const bool is_open_mpi = GetParam() == std::string("openmpi");
  const Outcome run =
      RunToEnd(RunScript({"-np", "2", "--max-restarts", "3", "--set",
                          "spec.restart.backoff.first=0s", "--grace", "2s", "--name", name_,
                          // What a script starts is not seen.
                          is_open_mpi ? "--mpi=pmix" : "--mpi=pmi1"},
                         Rank() + "; test $LOCKSTEP_ROUND = 3"),
               scratch_);
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(run.err, HasSubstr("restart 3 of 3"));
  EXPECT_GE(CountOf(run.out, " of 2: sum 3\n"), 4 + 1) << run.out;
}

TEST_P(MpiRunTest, AnAbortEndsTheGangWithItsCode) {
  const Outcome run = RunIt(Words(3, {}, "aborts", 1));
  EXPECT_EQ(run.status, 7) << run.err;
  EXPECT_THAT(run.err, AllOf(HasSubstr("lockstep: rank 1 called MPI_Abort with code 7"),
                             HasSubstr("lockstep: rank 1 failed first: exit code 7")));
  EXPECT_EQ(RunIt(Words(3, {}, "aborts-with-0", 2)).status, 1);
}

TEST_P(MpiRunTest, NothingIsLeftOfAJobWhoseAgentIsKilled) {
  Command job(RunWords(Words(3, {}, "rests")), Options());
  // Ranks are the agent's children, whose parent is the front.
  std::vector<pid_t> agents;
  ASSERT_TRUE(Eventually(
      [&] {
        agents = ChildrenOf(job.pid());
        return agents.size() == 1 && ChildrenOf(agents[0]).size() >= 3;
      },
      10s));
  ASSERT_TRUE(Eventually(
      [&] { return GetParam() == std::string("mpich") || FoldersOf(name_).size() == 1; }, 10s));
  ::kill(agents[0], SIGKILL);
  EXPECT_NE(job.Wait(20s).status, 0);
  EXPECT_THAT(scratch_.LeftoversAfter(5s), IsEmpty());
}

TEST_P(MpiRunTest, AStoppedRankIsNamedAndTheGangRestarts) {
  for (const int victim : {0, 1}) {
    const Outcome run = RunIt(Words(
        3, {"--watch=mpi", "--max-restarts", "1", "--hang-action-after", "20s", "--grace", "200ms"},
        "stops", victim));
    EXPECT_EQ(run.status, 0) << run.err;
    EXPECT_EQ(CountOf(run.out, " of 3: sum 6\n"), 3) << "in the round after";
    EXPECT_THAT(
        Unwrapped(run.err),
        AllOf(HasSubstr("lockstep: rank " + std::to_string(victim) + " "),
              HasSubstr("all_reduce(f32, sum, 8), op "),
              HasSubstr("its process is stopped by a signal"), HasSubstr("restart 1 of 1")));
    const std::string json = VerdictOf("round-0/verdict.json");
    EXPECT_THAT(json, HasSubstr("\"class\": \"MISSING_RANK\""));
    EXPECT_THAT(json, HasSubstr("\"rank\": " + std::to_string(victim) + ","));
    EXPECT_THAT(json, HasSubstr("\"confidence\": \"HIGH\""));
    // Without a verdict of what is provable it would have taken the 20 s.
    EXPECT_LT(run.elapsed, 18s);
    std::filesystem::remove_all(JobFolder(name_));
  }
}

TEST_P(MpiRunTest, ACountThatDiffersIsNamed) {
  const Outcome run = RunIt(Words(3, {"--watch=mpi"}, "count", 1));
  EXPECT_NE(run.status, 0);
  if (GetParam() == std::string("mpich")) {  // which says that all is well
    EXPECT_THAT(Unwrapped(run.err), HasSubstr("rank 1 called all_reduce(f32, sum, 7)"));
    EXPECT_THAT(VerdictOf("verdict.json"), HasSubstr("\"class\": \"MISMATCH\""));
  } else {  // which ends the rank that expects less
    EXPECT_THAT(run.err, AllOf(HasSubstr("MPI_ERR_TRUNCATE"), HasSubstr("rank 1 ")));
  }
}

TEST_P(MpiRunTest, ARankThatLeavesEarlyIsNamed) {
  const Outcome run = RunIt(Words(3, {"--watch=mpi"}, "leaves", 2));
  EXPECT_NE(run.status, 0);
  EXPECT_THAT(Unwrapped(run.err),
              AllOf(HasSubstr("lockstep: rank 2 has not come to all_reduce(f32, sum, 8)"),
                    HasSubstr("its process has ended, with exit status 0")))
      << run.err;
}

TEST_P(MpiRunTest, WhatCannotBeServedIsRefused) {
  const Outcome nodes = RunIt({"--simulate-hosts", "--nnodes", "2", "--", Rank()});
  EXPECT_EQ(nodes.status, 64);
  EXPECT_THAT(nodes.err, HasSubstr("serve MPI to the ranks (--mpi): that is for jobs whose ranks "
                                   "are all on the machine of `lockstep run`"));
  const Outcome watch =
      RunIt({"--simulate-hosts", "--nnodes", "2", "--watch=mpi", "--mpi=none", "--", Rank()});
  EXPECT_EQ(watch.status, 64);
  EXPECT_THAT(watch.err,
              HasSubstr("watch a library's calls (--watch=mpi): that is for jobs whose ranks"));
  const Outcome keep = RunIt({"-np", "2", "--on-rank-failure", "keep", "--", Rank()});
  EXPECT_EQ(keep.status, 64);
  EXPECT_THAT(keep.err, HasSubstr("--on-rank-failure=keep"));
}

TEST_P(MpiRunTest, OnSeveralNodesCallsAreNotWatchedWhichIsSaidOnce) {
  const Outcome run = RunIt({"--simulate-hosts", "--nnodes", "2", "--mpi=none", "--", Rank()});
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_EQ(CountOf(run.err, "lockstep: a hang in an MPI call of "), 1) << run.err;
}

TEST_P(MpiRunTest, WithoutAServerEachRankIsAlone) {
  const Outcome run = RunIt(Words(2, {"--mpi=none"}));
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_EQ(CountOf(run.out, "rank 0 of 1: sum 1\n"), 2) << run.out;
}

INSTANTIATE_TEST_SUITE_P(All, MpiRunTest, ::testing::Values("openmpi", "mpich"),
                         [](const auto& mpi) { return std::string(mpi.param); });

using PmixTest = RunFixture;

TEST_F(PmixTest, AServerThatDiesCostsARound) {
  Command job(RunWords({"-np", "2", "--max-restarts", "1", "--",
                        Runfile("tests/mpi_run/mpi_run_rank_openmpi"), "rests"}),
              Options());
  pid_t server = 0;
  ASSERT_TRUE(Eventually(
      [&] {
        std::vector<pid_t> children;
        for (const pid_t agent : ChildrenOf(job.pid())) {
          for (const pid_t child : ChildrenOf(agent)) children.push_back(child);
        }
        for (const pid_t child : children) {
          const std::string name = ReadFile("/proc/" + std::to_string(child) + "/comm");
          if (name == "lockstep-pmix\n") server = child;
        }
        return server > 0 && children.size() == 3;
      },
      10s));
  ::kill(server, SIGKILL);
  const Outcome run = job.Wait(40s);
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(run.err, AllOf(HasSubstr("what serves PMIx to the ranks has ended"),
                             HasSubstr("restart 1 of 1")));
  EXPECT_EQ(CountOf(run.out, " of 2: sum 3\n"), 2) << run.out;
}

TEST_F(PmixTest, ServesAClientOfPmixItself) {
  const Outcome run = RunIt({"-np", "3", "--mpi=pmix", "--", Runfile("tests/mpi_run/pmix_rank")});
  EXPECT_EQ(run.status, 0) << run.out << run.err;
  EXPECT_THAT(run.out,
              AllOf(HasSubstr("rank 0 of 3, next 10\n"), HasSubstr("rank 1 of 3, next 20\n"),
                    HasSubstr("rank 2 of 3, next 0\n")));
}

TEST_F(PmixTest, AVariableThatTunesOpenMpiIsTheUsers) {
  const Outcome run =
      RunScriptIt({"-np", "1", "--mpi=pmix", "-x", "OMPI_MCA_hwloc_base_binding_policy=core", "-x",
                   "PMIX_RANK=9"},
                  "echo $OMPI_MCA_hwloc_base_binding_policy $PMIX_RANK $OMPI_COMM_WORLD_SIZE");
  EXPECT_EQ(run.out, "[0] core 0 1\n") << run.err;
}

TEST_F(PmixTest, AProgramWithoutAnMpiGetsNeitherServerNorVariables) {
  const Outcome run =
      RunScriptIt({"-np", "1"}, "env | grep -c '^PMIX_\\|^PMI_\\|^OMPI_MCA' ; true");
  EXPECT_EQ(run.out, "[0] 0\n") << run.err;
}

}  // namespace
}  // namespace lockstep::e2e
