// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/rank/session_backend.h"

#include <gmock/gmock.h>

#include <string>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::rank {
namespace {

using base::Code;
using base::testing::IsOkAndHolds;
using base::testing::StatusIs;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;

const RankEnvironment kOpenMpiRank = {{"OMPI_COMM_WORLD_RANK", "2"},
                                      {"OMPI_COMM_WORLD_SIZE", "4"},
                                      {"OMPI_COMM_WORLD_LOCAL_RANK", "0"},
                                      {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}};
const RankEnvironment kMpichRank = {
    {"PMI_RANK", "1"}, {"PMI_SIZE", "2"}, {"MPI_LOCALRANKID", "1"}, {"MPI_LOCALNRANKS", "2"}};

RankEnvironment With(RankEnvironment environment, const std::string& name,
                     const std::string& value) {
  environment[name] = value;
  return environment;
}

TEST(SessionBackendTest, TheProgramsChoiceWinsOverTheJobs) {
  const RankEnvironment says_nccl = {{"LOCKSTEP_JOB_BACKEND", "nccl"}};

  EXPECT_THAT(BackendOf({}, {}), IsOkAndHolds(Backend::kHost));
  EXPECT_THAT(BackendOf({}, says_nccl), IsOkAndHolds(Backend::kNccl));
  EXPECT_THAT(BackendOf({.backend = Backend::kHost}, says_nccl), IsOkAndHolds(Backend::kHost));
  EXPECT_THAT(ChecksCalls({}, {}), IsOkAndHolds(false));
  EXPECT_THAT(ChecksCalls({}, {{"LOCKSTEP_JOB_CHECK", "strict"}}), IsOkAndHolds(true));
  EXPECT_THAT(ChecksCalls({.check_calls = false}, {{"LOCKSTEP_JOB_CHECK", "strict"}}),
              IsOkAndHolds(false));
  EXPECT_THAT(ChecksCalls({}, {{"LOCKSTEP_JOB_CHECK", "always"}}),
              StatusIs(Code::kInvalidArgument, HasSubstr("must be fast or strict")));
  EXPECT_THAT(BackendOf({}, {{"LOCKSTEP_JOB_BACKEND", "gloo"}}),
              StatusIs(Code::kInvalidArgument, HasSubstr("host, mpi or nccl")));
}

TEST(SessionBackendTest, TheJobSaysHowDataGoesBetweenMachines) {
  ASSERT_OK_AND_ASSIGN(const DataPath unsaid, DataPathOf({}));
  ASSERT_OK_AND_ASSIGN(const DataPath said, DataPathOf({{"LOCKSTEP_JOB_ENCRYPT_DATA", "1"},
                                                        {"LOCKSTEP_JOB_TCP_FLOWS", "4"},
                                                        {"LOCKSTEP_JOB_TCP_LINK", "15.5,2.1"}}));

  EXPECT_FALSE(unsaid.encrypts);
  EXPECT_EQ(unsaid.flows, 1);
  EXPECT_FALSE(unsaid.link.measured());
  EXPECT_TRUE(said.encrypts);
  EXPECT_EQ(said.flows, 4);
  EXPECT_EQ(said.link.Describe(), "16 us and 2.05 GB/s");
  EXPECT_THAT(DataPathOf({{"LOCKSTEP_JOB_ENCRYPT_DATA", "yes"}}),
              StatusIs(Code::kInvalidArgument, HasSubstr("must be 0 to 1")));
  EXPECT_THAT(DataPathOf({{"LOCKSTEP_JOB_TCP_FLOWS", "17"}}),
              StatusIs(Code::kInvalidArgument, HasSubstr("must be 1 to 16")));
  for (const char* link : {"20", "20,", ",5", "20,5,", "20;5", "-1,5", "20,0", "inf,5", "20,nan"})
    EXPECT_THAT(DataPathOf({{"LOCKSTEP_JOB_TCP_LINK", link}}),
                StatusIs(Code::kInvalidArgument, HasSubstr("as in 20,5")));
}

TEST(SessionBackendTest, TheLauncherSaysWhichMpiIsLoaded) {
  EXPECT_THAT(MpiLibraryOf(kOpenMpiRank), IsOkAndHolds(EndsWith("/liblockstep_mpi_openmpi.so")));
  EXPECT_THAT(MpiLibraryOf(kMpichRank), IsOkAndHolds(EndsWith("/liblockstep_mpi_mpich.so")));
  EXPECT_THAT(MpiLibraryOf(With(kMpichRank, "LOCKSTEP_MPI_LIBRARY", "/opt/mine.so")),
              IsOkAndHolds("/opt/mine.so"));
}

TEST(SessionBackendTest, ALauncherOfAnyMpiMustBeToldWhich) {
  const RankEnvironment srun = {{"SLURM_PROCID", "1"},         {"SLURM_STEP_NUM_TASKS", "2"},
                                {"SLURM_LOCALID", "1"},        {"SLURM_STEP_TASKS_PER_NODE", "2"},
                                {"SLURM_STEP_NUM_NODES", "1"}, {"SLURM_NODEID", "0"},
                                {"SLURM_JOB_ID", "7"},         {"SLURM_STEP_ID", "0"}};
  EXPECT_THAT(MpiLibraryOf(srun),
              StatusIs(Code::kFailedPrecondition, HasSubstr("LOCKSTEP_MPI_LIBRARY")));
}

TEST(SessionBackendTest, WithoutMpisLauncherTheCureIsItsCommandLine) {
  const RankEnvironment lockstep_run = {
      {"RANK", "1"}, {"WORLD_SIZE", "2"}, {"LOCAL_RANK", "1"}, {"LOCAL_WORLD_SIZE", "2"}};
  EXPECT_THAT(MpiLibraryOf(lockstep_run),
              StatusIs(Code::kFailedPrecondition,
                       AllOf(HasSubstr("`lockstep run --backend mpi --mpi=pmix`"),
                             HasSubstr("mpirun -np N lockstep exec --backend mpi -- PROGRAM"))));
  EXPECT_THAT(CreateSessionFrom({}, {.backend = Backend::kMpi}),
              StatusIs(Code::kFailedPrecondition, HasSubstr("no MPI's launcher")));
}

TEST(SessionBackendTest, RanksOfMpirunNeedNoAgent) {
  ASSERT_OK_AND_ASSIGN(const auto session,
                       CreateSessionFrom(kOpenMpiRank, {.backend = Backend::kMpi}));
  EXPECT_FALSE(session->has_agent());
  EXPECT_EQ(session->world().rank, base::Rank(2));
  EXPECT_EQ(session->world().world_size, 4);
  EXPECT_EQ(session->world().local_rank, base::LocalRank(0));
  EXPECT_EQ(session->world().local_world_size, 2);
}

TEST(SessionBackendTest, ALibraryThatIsNotThereIsNamed) {
  ASSERT_OK_AND_ASSIGN(
      const auto session,
      CreateSessionFrom(With(With(kMpichRank, "LOCKSTEP_MPI_LIBRARY", "/no/mpi.so"),
                             "LOCKSTEP_JOB_BACKEND", "mpi")));
  EXPECT_THAT(session->WorldGroup(), StatusIs(Code::kNotFound, HasSubstr("/no/mpi.so")));
}

TEST(SessionBackendTest, AWorldThatIsMeantToBeOneIsOneWithMpiToo) {
  ASSERT_OK_AND_ASSIGN(const auto session,
                       CreateSessionFrom(With(With(kMpichRank, "RANK", "0"), "WORLD_SIZE", "1"),
                                         {.backend = Backend::kMpi}));
  ASSERT_OK_AND_ASSIGN(const auto group, session->WorldGroup());
  EXPECT_EQ(group->size(), 1);
}

}  // namespace
}  // namespace lockstep::rank
