// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Sessions without an agent; those with one are in tests/rank.
#include "runtime/rank/session.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "runtime/base/testing/status_matchers.h"
#include "runtime/rank/session_factory.h"

namespace lockstep::rank {
namespace {

using base::Code;
using base::testing::StatusIs;
using collectives::Reduction;
using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(SessionTest, WithoutAnAgentTheWorldIsOneWhoseCollectivesAreCopies) {
  ASSERT_OK_AND_ASSIGN(const auto session, CreateSessionFrom({}));
  EXPECT_FALSE(session->has_agent());
  EXPECT_EQ(session->world().world_size, 1);
  EXPECT_EQ(session->world().job, "");
  session->ReportProgress(1);
  EXPECT_FALSE(session->stop_requested());
  EXPECT_FALSE(session->TakeCheckpointRequest());

  ASSERT_OK_AND_ASSIGN(const auto group, session->WorldGroup());
  const std::vector<float> in = {1, 2, 3};
  std::vector<float> out(3);
  EXPECT_OK(group->AllReduce({in.data(), 3}, {out.data(), 3}, Reduction::kAverage)->Wait());
  EXPECT_EQ(out, in);
  EXPECT_OK(group->Barrier()->Wait());
  ASSERT_OK_AND_ASSIGN(const auto again, session->WorldGroup());
  EXPECT_EQ(again, group);
}

TEST(SessionTest, TorchrunsWorldOfOneIsAWorldOfOne) {
  EXPECT_OK(CreateSessionFrom({{"RANK", "0"}, {"WORLD_SIZE", "1"}}));
}

TEST(SessionTest, SeveralRanksWithoutAnAgentAreAClearError) {
  EXPECT_THAT(CreateSessionFrom({{"RANK", "1"}, {"WORLD_SIZE", "4"}}),
              StatusIs(Code::kFailedPrecondition, HasSubstr("lockstep run")));
  EXPECT_THAT(CreateSessionFrom({{"WORLD_SIZE", "four"}}),
              StatusIs(Code::kFailedPrecondition, HasSubstr("WORLD_SIZE=four")));
  EXPECT_THAT(CreateSessionFrom({{"LOCKSTEP_SOCKET", "/tmp/x"}}),
              StatusIs(Code::kFailedPrecondition, HasSubstr("LOCKSTEP_COOKIE")));
}

// Each would else be a world of one that writes the checkpoints of the others.
TEST(SessionTest, OneOfSeveralProcessesOfAnotherLauncherIsAClearError) {
  for (const std::string variable : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"}) {
    EXPECT_THAT(CreateSessionFrom({{variable, "4"}}),
                StatusIs(Code::kFailedPrecondition,
                         AllOf(HasSubstr(variable + "=4"), HasSubstr("lockstep run -np 4"))));
    EXPECT_OK(CreateSessionFrom({{variable, "1"}}));
    EXPECT_OK(CreateSessionFrom({{variable, "4"}, {"RANK", "0"}, {"WORLD_SIZE", "1"}}));
  }
}

// The orted of `mpirun -np 1 -host a,b` is a step of two tasks, its only rank is alone.
TEST(SessionTest, TheNearestLauncherCounts) {
  EXPECT_OK(CreateSessionFrom({{"OMPI_COMM_WORLD_SIZE", "1"}, {"SLURM_STEP_NUM_TASKS", "2"}}));
}

// An sbatch script or salloc shell is one process, whatever the allocation could hold.
TEST(SessionTest, AnAllocationAloneIsAWorldOfOne) {
  ASSERT_EQ(setenv("SLURM_NTASKS", "4", 1), 0);
  EXPECT_OK(Session::Create());
  ASSERT_EQ(unsetenv("SLURM_NTASKS"), 0);
}

TEST(SessionTest, CreateReadsEachOfTheVariables) {
  for (const char* const name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"}) {
    ASSERT_EQ(setenv(name, "4", 1), 0);
    EXPECT_THAT(Session::Create(), StatusIs(Code::kFailedPrecondition, HasSubstr(name)));
    ASSERT_EQ(unsetenv(name), 0);
  }
}

TEST(SessionTest, AnAgentThatIsNotThereIsUnavailable) {
  EXPECT_THAT(CreateSessionFrom({{"LOCKSTEP_SOCKET", "/nonexistent/s"},
                                 {"LOCKSTEP_COOKIE", std::string(64, 'a')}}),
              StatusIs(Code::kUnavailable, HasSubstr("/nonexistent/s")));
}

}  // namespace
}  // namespace lockstep::rank
