// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/exec/adopted_desk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "runtime/proto/status_conversion.h"

namespace lockstep::launcher {
namespace {

using base::Rank;
using ::testing::HasSubstr;

class AdoptedDeskTest : public ::testing::Test {
 protected:
  proto::ControlReply Ask(const proto::ControlRequest& request) {
    proto::ControlReply told;
    desk_.Answer(request, [&](proto::ControlReply reply) { told = std::move(reply); });
    return told;
  }

  int stop_signal_ = 0;
  bool live_ = false;  // that was asked for
  AdoptedDesk desk_{
      {.launcher = "mpirun (Open MPI)",
       .status =
           [this](bool live) {
             live_ = live;
             proto::StatusReply status;
             status.set_job_id("train-a1b2c3");
             return status;
           },
       .stop =
           [this](const proto::StopRequest& request) {
             stop_signal_ = request.signal();
             return proto::StopReply();
           },
       .hangs = [](const proto::HangsRequest& request) -> base::Result<proto::HangsReply> {
         if (request.grace_ns() == 7) return base::InvalidArgumentError("7 ns");
         proto::HangsReply reply;
         reply.set_grace_ns(request.grace_ns());
         return reply;
       }}};
};

TEST_F(AdoptedDeskTest, StatusAndStopAreTheAgents) {
  proto::ControlRequest request;
  request.mutable_status();
  EXPECT_EQ(Ask(request).status().job_id(), "train-a1b2c3");
  EXPECT_FALSE(live_);
  request.mutable_status()->set_live(true);
  Ask(request);
  EXPECT_TRUE(live_);
  request.mutable_stop()->set_signal(2);
  EXPECT_TRUE(Ask(request).has_stop());
  EXPECT_EQ(stop_signal_, 2);
}

TEST_F(AdoptedDeskTest, TimesOfHangsAreTheWatchs) {
  proto::ControlRequest request;
  request.mutable_hangs()->set_grace_ns(8);
  EXPECT_EQ(Ask(request).hangs().grace_ns(), 8);
  request.mutable_hangs()->set_grace_ns(7);
  EXPECT_THAT(proto::FromProto(Ask(request).error()).message(), HasSubstr("7 ns"));
}

TEST_F(AdoptedDeskTest, OutputIsWithTheLauncher) {
  proto::ControlRequest request;
  request.mutable_read_output();
  EXPECT_THAT(proto::FromProto(Ask(request).error()).message(), HasSubstr("mpirun (Open MPI)"));
}

TEST_F(AdoptedDeskTest, WhatIsForCoordinatorsIsNotKnown) {
  proto::ControlRequest request;
  EXPECT_EQ(proto::FromProto(Ask(request).error()).code(), base::Code::kInvalidArgument);
  request.mutable_look();
  EXPECT_EQ(proto::FromProto(Ask(request).error()).code(), base::Code::kInvalidArgument);
  request.mutable_stacks();
  EXPECT_EQ(proto::FromProto(Ask(request).error()).code(), base::Code::kInvalidArgument);
}

TEST(AdoptedStatusTest, RanksThatHaveComeWithTheirSteps) {
  proto::AdoptRequest first;
  first.set_rank(4);
  first.set_world_size(8);
  first.set_local_world_size(4);
  first.set_pid(77);
  first.set_launcher("srun");
  AdoptedRanks ranks(first);
  ranks.Add(first);
  first.set_rank(5);
  first.set_local_rank(1);
  ranks.Add(first);
  ranks.End(Rank(5), base::SteadyTime());

  const proto::StatusReply status = AdoptedStatus(ranks, {{Rank(4), 12}});
  EXPECT_EQ(status.launcher(), "srun");
  EXPECT_EQ(status.rank_count(), 8);
  EXPECT_EQ(status.ranks_awaited(), 2);
  ASSERT_EQ(status.ranks_size(), 2);
  EXPECT_EQ(status.ranks(0).pid(), 77);
  EXPECT_EQ(status.ranks(0).life(), "alive");
  EXPECT_EQ(status.ranks(0).step(), 12);
  EXPECT_EQ(status.ranks(1).life(), "ended");
  EXPECT_FALSE(status.ranks(1).has_step());
}

}  // namespace
}  // namespace lockstep::launcher
