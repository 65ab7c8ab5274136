// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/topology/foreign_rank.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::topology {
namespace {

using base::Code;
using base::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

/// As a launcher has given it to a rank: one NAME=VALUE a line.
Environment Captured(const std::string& name) {
  std::ifstream file("runtime/topology/testdata/" + name);
  EXPECT_TRUE(file.is_open()) << name;
  std::vector<std::string> block;
  for (std::string line; std::getline(file, line);) block.push_back(line);
  return ParseEnvironment(block);
}

Environment With(Environment environment, const Environment& more) {
  for (const auto& [name, value] : more) environment[name] = value;
  return environment;
}

Environment Without(Environment environment, const std::vector<std::string>& names) {
  for (const std::string& name : names) EXPECT_EQ(environment.erase(name), 1u) << name;
  return environment;
}

Environment Loop(int rank, int size) {
  return {{"RANK", std::to_string(rank)},
          {"WORLD_SIZE", std::to_string(size)},
          {"LOCAL_RANK", std::to_string(rank)},
          {"LOCAL_WORLD_SIZE", std::to_string(size)}};
}

/// Task 4 of `srun -N3 -n7` with 3, 2 and 2 tasks on the nodes: the second one of node 1.
Environment SlurmStep() {
  return {{"SLURM_JOB_ID", "121"},
          {"SLURM_STEP_ID", "0"},
          {"SLURM_PROCID", "4"},
          {"SLURM_LOCALID", "1"},
          {"SLURM_NODEID", "1"},
          {"SLURM_NTASKS", "7"},
          {"SLURM_NPROCS", "7"},
          {"SLURM_NNODES", "3"},
          {"SLURM_TASKS_PER_NODE", "3(x3)"},  // the batch script's wish
          {"SLURM_STEP_NUM_TASKS", "7"},
          {"SLURM_STEP_TASKS_PER_NODE", "3,2(x2)"},
          {"SLURM_GTIDS", "3,4"}};
}

/// "4 of 7, 1 of 2, node 1 of 3".
std::string PlaceOf(const ForeignRank& rank) {
  return rank.rank.ToString() + " of " + std::to_string(rank.world_size) + ", " +
         rank.local_rank.ToString() + " of " + std::to_string(rank.local_world_size) + ", node " +
         (rank.node_index ? rank.node_index->ToString() : "?") + " of " +
         (rank.node_count ? std::to_string(*rank.node_count) : "?");
}

// ----------------------------------------------------------------------------------- who says what

TEST(ForeignRankTest, OpenMpisMpirunIsUnderstood) {
  ASSERT_OK_AND_ASSIGN(const ForeignRank rank,
                       FindForeignRank(Captured("openmpi_rank_2.came.env")));

  EXPECT_EQ(rank.launcher, ForeignLauncher::kOpenMpi);
  EXPECT_EQ(PlaceOf(rank), "2 of 4, 2 of 4, node 0 of 1");
  EXPECT_EQ(rank.job_key, "pmix 720896001 720896000.0;tcp4://127.0.0.1:47931");
  EXPECT_EQ(rank.rank_variable, "OMPI_COMM_WORLD_RANK");
}

TEST(ForeignRankTest, MpichsMpirunIsUnderstoodAndNamesNoJob) {
  ASSERT_OK_AND_ASSIGN(const ForeignRank rank, FindForeignRank(Captured("mpich_rank_3.came.env")));

  EXPECT_EQ(rank.launcher, ForeignLauncher::kPmi);
  EXPECT_EQ(PlaceOf(rank), "3 of 4, 3 of 4, node 0 of 1");
  EXPECT_EQ(rank.job_key, "");
  EXPECT_EQ(rank.rank_variable, "PMI_RANK");
}

TEST(ForeignRankTest, SrunIsUnderstood) {
  ASSERT_OK_AND_ASSIGN(const ForeignRank rank, FindForeignRank(Captured("srun_rank_1.came.env")));

  EXPECT_EQ(rank.launcher, ForeignLauncher::kSlurm);
  EXPECT_EQ(PlaceOf(rank), "1 of 3, 1 of 2, node 0 of 2");
  EXPECT_EQ(rank.job_key, "slurm 11.0 node 0");
}

TEST(ForeignRankTest, TheStepsOwnValuesWinOverTheBatchScripts) {
  ASSERT_OK_AND_ASSIGN(const ForeignRank rank, FindForeignRank(SlurmStep()));

  EXPECT_EQ(rank.launcher, ForeignLauncher::kSlurm);
  EXPECT_EQ(PlaceOf(rank), "4 of 7, 1 of 2, node 1 of 3");
  EXPECT_EQ(rank.job_key, "slurm 121.0 node 1");
}

TEST(ForeignRankTest, EachLauncherSaysItInItsOwnWords) {
  const Environment pmi2 = {{"PMI_RANK", "4"}, {"PMI_SIZE", "7"}, {"PMI_JOBID", "121.0"}};
  const Environment horovod = {{"HOROVOD_RANK", "5"},
                               {"HOROVOD_SIZE", "8"},
                               {"HOROVOD_LOCAL_RANK", "1"},
                               {"HOROVOD_LOCAL_SIZE", "4"},
                               {"HOROVOD_CROSS_RANK", "1"},
                               {"HOROVOD_CROSS_SIZE", "2"},
                               {"HOROVOD_GLOO_RENDEZVOUS_ADDR", "192.0.2.7"},
                               {"HOROVOD_GLOO_RENDEZVOUS_PORT", "41234"}};
  const Environment torchrun = {{"RANK", "5"},          {"WORLD_SIZE", "8"},
                                {"LOCAL_RANK", "1"},    {"LOCAL_WORLD_SIZE", "4"},
                                {"GROUP_RANK", "1"},    {"GROUP_WORLD_SIZE", "2"},
                                {"MASTER_ADDR", "a-1"}, {"MASTER_PORT", "29500"}};
  const Environment slurm_pmix = {{"PMIX_RANK", "4"},
                                  {"PMIX_NAMESPACE", "slurm.pmix.121.0"},
                                  {"PMIX_SERVER_URI2", "pmix-server.77;tcp4://127.0.0.1:1"}};
  const struct {
    Environment environment;
    ForeignLauncher launcher;
    const char* place;
    const char* job_key;
  } cases[] = {
      {horovod, ForeignLauncher::kHorovod, "5 of 8, 1 of 4, node ? of ?",
       "horovod 192.0.2.7 41234"},
      {torchrun, ForeignLauncher::kVariables, "5 of 8, 1 of 4, node 1 of 2", "master a-1 29500"},
      {Loop(1, 2), ForeignLauncher::kVariables, "1 of 2, 1 of 2, node 0 of 1", ""},
      {With(SlurmStep(), pmi2), ForeignLauncher::kSlurm, "4 of 7, 1 of 2, node 1 of 3",
       "slurm 121.0 node 1"},
      {With(SlurmStep(), slurm_pmix), ForeignLauncher::kPmix, "4 of 7, 1 of 2, node 1 of 3",
       "pmix slurm.pmix.121.0 pmix-server.77;tcp4://127.0.0.1:1"},
      {With(Loop(1, 2), {{"PMIX_RANK", "1"}}), ForeignLauncher::kPmix,
       "1 of 2, 1 of 2, node 0 of 1", ""},
      {{{"PMI_RANK", "0"}, {"PMI_SIZE", "1"}},
       ForeignLauncher::kPmi,
       "0 of 1, 0 of 1, node 0 of 1",
       ""},
  };
  for (const auto& [environment, launcher, place, job_key] : cases) {
    const auto rank = FindForeignRank(environment);
    ASSERT_OK(rank);
    EXPECT_EQ(rank->launcher, launcher) << place;
    EXPECT_EQ(PlaceOf(*rank), place);
    EXPECT_EQ(rank->job_key, job_key);
  }
}

// Each launcher of the list, from the last to the first, over those that stand behind it.
TEST(ForeignRankTest, TheInnerLauncherWinsInTheOrderOfTheDocument) {
  Environment environment = Loop(4, 7);
  const struct {
    Environment more;
    ForeignLauncher winner;
  } steps[] = {{SlurmStep(), ForeignLauncher::kSlurm},
               {{{"PMIX_RANK", "4"}}, ForeignLauncher::kPmix},
               {Captured("mpich_rank_3.came.env"), ForeignLauncher::kPmi},
               {Captured("openmpi_rank_2.came.env"), ForeignLauncher::kOpenMpi},
               {{{"HOROVOD_RANK", "1"},
                 {"HOROVOD_SIZE", "3"},
                 {"HOROVOD_LOCAL_RANK", "1"},
                 {"HOROVOD_LOCAL_SIZE", "3"}},
                ForeignLauncher::kHorovod}};
  for (const auto& [more, winner] : steps) {
    environment = With(environment, more);
    const auto rank = FindForeignRank(environment);
    ASSERT_OK(rank);
    EXPECT_EQ(ForeignLauncherName(rank->launcher), ForeignLauncherName(winner));
  }
}

// ------------------------------------------------------------------- what does not go together

TEST(ForeignRankTest, AnIncompleteSetNamesWhatIsThereAndWhatIsNot) {
  const Environment openmpi = Captured("openmpi_rank_2.came.env");
  const Environment mpich = Captured("mpich_rank_3.came.env");
  const struct {
    Environment environment;
    const char* there;
    const char* missing;
  } cases[] = {
      {Without(openmpi, {"OMPI_COMM_WORLD_SIZE"}), "OMPI_COMM_WORLD_RANK=2",
       "and not OMPI_COMM_WORLD_SIZE"},
      {Without(openmpi, {"OMPI_COMM_WORLD_RANK"}), "OMPI_COMM_WORLD_SIZE=4",
       "and not OMPI_COMM_WORLD_RANK"},
      {Without(openmpi, {"OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"}),
       "OMPI_COMM_WORLD_RANK=2", "OMPI_COMM_WORLD_LOCAL_RANK, OMPI_COMM_WORLD_LOCAL_SIZE"},
      {Without(mpich, {"MPI_LOCALRANKID", "MPI_LOCALNRANKS"}), "PMI_RANK=3", "MPI_LOCALRANKID"},
      {{{"RANK", "0"}, {"WORLD_SIZE", "2"}}, "WORLD_SIZE=2", "LOCAL_RANK, LOCAL_WORLD_SIZE"},
      {{{"RANK", "0"}}, "RANK=0", "WORLD_SIZE"},
      {Without(SlurmStep(), {"SLURM_LOCALID"}), "SLURM_PROCID=4", "and not SLURM_LOCALID"},
      {{{"PMIX_RANK", "3"}}, "PMIX_RANK=3", "nothing says of how many"},
  };
  for (const auto& [environment, there, missing] : cases) {
    EXPECT_THAT(FindForeignRank(environment),
                StatusIs(Code::kInvalidArgument,
                         AllOf(HasSubstr(there), HasSubstr(missing), HasSubstr("LOCAL_RANK"))));
  }
}

TEST(ForeignRankTest, ASetThatContradictsItselfIsRefused) {
  const Environment openmpi = Captured("openmpi_rank_2.came.env");
  const struct {
    Environment environment;
    const char* why;
  } cases[] = {
      {With(openmpi, {{"OMPI_COMM_WORLD_RANK", "4"}}), "rank 4 of 4"},
      {With(openmpi, {{"OMPI_COMM_WORLD_LOCAL_RANK", "4"}}), "local rank 4 of 4"},
      {With(openmpi, {{"OMPI_COMM_WORLD_LOCAL_SIZE", "5"}}), "of 5"},
      {With(openmpi, {{"OMPI_COMM_WORLD_SIZE", "0"}}), "of 0"},
      {With(openmpi, {{"OMPI_COMM_WORLD_RANK", "two"}}), "OMPI_COMM_WORLD_RANK=two is no number"},
      {With(openmpi, {{"OMPI_COMM_WORLD_RANK", "-1"}}), "is no number from 0 up"},
      {With(openmpi, {{"OMPI_COMM_WORLD_SIZE", ""}}), "OMPI_COMM_WORLD_SIZE= is no number"},
      {With(Loop(0, 2), {{"WORLD_SIZE", "99999999999"}}), "WORLD_SIZE=99999999999"},
      {With(SlurmStep(), {{"SLURM_STEP_TASKS_PER_NODE", "3,2"}}), "are 5 tasks"},
      {With(SlurmStep(), {{"SLURM_STEP_TASKS_PER_NODE", "3 2 2"}}), "SLURM_STEP_TASKS_PER_NODE"},
      {With(SlurmStep(), {{"SLURM_NODEID", "3"}}), "this is node 3"},
      {With(SlurmStep(), {{"PMI_RANK", "3"}, {"PMI_SIZE", "7"}}), "PMI_RANK=3, and SLURM_PROCID=4"},
      {With(Loop(1, 2), {{"PMIX_RANK", "0"}}), "PMIX_RANK=0, and RANK=1"},
  };
  for (const auto& [environment, why] : cases) {
    EXPECT_THAT(FindForeignRank(environment), StatusIs(Code::kInvalidArgument, HasSubstr(why)));
  }
}

TEST(ForeignRankTest, AWorldOfOneAmongSeveralIsRefused) {
  const Environment alone = {{"SLURM_JOB_ID", "9"},        {"SLURM_STEP_ID", "0"},
                             {"SLURM_PROCID", "0"},        {"SLURM_LOCALID", "0"},
                             {"SLURM_NODEID", "0"},        {"SLURM_STEP_NUM_TASKS", "1"},
                             {"SLURM_TASKS_PER_NODE", "1"}};

  EXPECT_OK(FindForeignRank(alone));
  EXPECT_OK(FindForeignRank(With(alone, Loop(0, 1))));
  EXPECT_OK(FindForeignRank(With(alone, {{"WORLD_SIZE", "4"}}))) << "a script's own variable";
  EXPECT_THAT(FindForeignRank(With(alone, Loop(2, 4))),
              StatusIs(Code::kInvalidArgument,
                       AllOf(HasSubstr("srun"), HasSubstr("RANK=2 and WORLD_SIZE=4"))));
}

// ------------------------------------------------------------------------------------- no launcher

TEST(ForeignRankTest, WithoutALauncherItSaysWhatWasLookedFor) {
  EXPECT_THAT(FindForeignRank({{"PATH", "/bin"}, {"LOCAL_RANK", "1"}}),
              StatusIs(Code::kInvalidArgument,
                       AllOf(HasSubstr("HOROVOD_RANK"), HasSubstr("OMPI_COMM_WORLD_RANK"),
                             HasSubstr("PMI_RANK"), HasSubstr("SLURM_STEP_ID"),
                             HasSubstr("lockstep run -np N"), Not(HasSubstr("srun in front")))));
}

// The shells of sbatch and salloc have a rank's variables and are none.
TEST(ForeignRankTest, TheShellOfASlurmJobIsNoStep) {
  for (const char* step : {"", "4294967290", "4294967291"}) {
    Environment shell = With(SlurmStep(), {{"SLURM_PROCID", "0"}, {"SLURM_STEP_ID", step}});
    if (*step == '\0') shell.erase("SLURM_STEP_ID");

    EXPECT_THAT(FindForeignRank(shell),
                StatusIs(Code::kInvalidArgument, HasSubstr("write srun in front")))
        << step;
    ASSERT_OK_AND_ASSIGN(const ForeignRank rank, FindForeignRank(With(shell, Loop(1, 2))));
    EXPECT_EQ(rank.launcher, ForeignLauncher::kVariables) << step;
    EXPECT_FALSE(HasLaunchersVariables(shell));
  }
}

TEST(ForeignRankTest, WhatLockstepSetsItselfIsNoOtherLaunchers) {
  EXPECT_FALSE(HasLaunchersVariables(With(Loop(1, 2), {{"LOCKSTEP_SOCKET", "/s"}})));
  EXPECT_TRUE(HasLaunchersVariables(SlurmStep()));
  EXPECT_TRUE(HasLaunchersVariables({{"OMPI_COMM_WORLD_SIZE", "2"}}));
  EXPECT_TRUE(HasLaunchersVariables({{"PMI_RANK", "0"}}));
  EXPECT_TRUE(HasLaunchersVariables({{"PMIX_RANK", "0"}}));
  EXPECT_TRUE(HasLaunchersVariables({{"HOROVOD_RANK", "0"}}));
}

}  // namespace
}  // namespace lockstep::topology
