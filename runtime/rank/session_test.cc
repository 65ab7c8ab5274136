// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Sessions without an agent; those with one are in tests/rank.
#include "runtime/rank/session.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "runtime/base/testing/status_matchers.h"
#include "runtime/rank/session_factory.h"

namespace lockstep::rank {
namespace {

using base::Code;
using base::testing::StatusIs;
using collectives::Reduction;
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

TEST(SessionTest, AnAgentThatIsNotThereIsUnavailable) {
  EXPECT_THAT(CreateSessionFrom({{"LOCKSTEP_SOCKET", "/nonexistent/s"}, {"LOCKSTEP_COOKIE", std::string(64, 'a')}}),
              StatusIs(Code::kUnavailable, HasSubstr("/nonexistent/s")));
}

}  // namespace
}  // namespace lockstep::rank
