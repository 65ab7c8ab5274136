// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/node_stacks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "runtime/event/sim_loop.h"
#include "runtime/process/sim_processes.h"
#include "runtime/proto/status_conversion.h"

namespace lockstep::launcher {
namespace {

using base::Rank;
using std::chrono::seconds;

/// Without the helper: of this process, which is each rank, there is what /proc tells.
class NodeStacksTest : public ::testing::Test {
 protected:
  NodeStacksTest() {
    for (const int rank : {2, 3, 4}) ranks_.push_back({.rank = Rank(rank), .pid = ::getpid()});
  }
  void Ask(const std::vector<int>& ranks) {
    proto::StacksRequest request;
    for (const int rank : ranks) request.add_ranks(rank);
    node_.Answer(request,
                 [this](proto::ControlReply reply) { replies_.push_back(std::move(reply)); });
  }

  event::SimLoop loop_;
  process::SimProcesses processes_{loop_, 1};
  std::vector<WatchedRank> ranks_;
  std::vector<proto::ControlReply> replies_;
  NodeStacks node_{{},
                   {.loop = loop_, .processes = processes_, .ranks = [this] { return ranks_; }}};
};

TEST_F(NodeStacksTest, RanksOfThisNodeThatHaveAProcessAreTold) {
  ranks_[2].ended = true;
  Ask({4, 3, 9});
  EXPECT_TRUE(replies_.empty()) << "not inside the call";
  loop_.RunFor(seconds(2));

  ASSERT_EQ(replies_.size(), 1U);
  ASSERT_EQ(replies_[0].stacks().ranks_size(), 1);
  EXPECT_EQ(replies_[0].stacks().ranks(0).rank(), 3);
  EXPECT_EQ(replies_[0].stacks().ranks(0).process().pid(), ::getpid());
  EXPECT_GE(replies_[0].stacks().ranks(0).process().threads_size(), 1);
}

TEST_F(NodeStacksTest, AsksThatAreTooManyAreRefused) {
  Ask(std::vector<int>(NodeStacks::kRanksMax + 1, 2));
  ASSERT_EQ(replies_.size(), 1U);
  EXPECT_EQ(proto::FromProto(replies_[0].error()).code(), base::Code::kInvalidArgument);

  for (size_t i = 0; i <= NodeStacks::kRequestsMax; ++i) Ask({2});
  ASSERT_EQ(replies_.size(), 2U);
  EXPECT_EQ(proto::FromProto(replies_[1].error()).code(), base::Code::kResourceExhausted);
  loop_.RunFor(seconds(2));
  EXPECT_EQ(replies_.size(), 2U + NodeStacks::kRequestsMax);
  Ask({2});
  loop_.RunFor(seconds(2));
  EXPECT_TRUE(replies_.back().has_stacks()) << "there is room again";
}

proto::ProcessStacks LongOne() {
  proto::ProcessStacks stacks;
  for (int i = 0; i < 64; ++i) {
    proto::ThreadStack& thread = *stacks.add_threads();
    thread.set_tid(i + 1);
    for (int k = 0; k < 64; ++k) thread.add_frames()->set_function(std::string(100, 'f'));
  }
  stacks.add_sockets()->set_local("10.0.0.1:4000");
  return stacks;
}

TEST(ShortenStacksTest, ThreadsAreLeftOutAndCounted) {
  proto::ProcessStacks stacks = LongOne();
  ShortenStacks(100'000, stacks);

  EXPECT_LE(stacks.ByteSizeLong(), 100'000U);
  EXPECT_GT(stacks.threads_size(), 10);
  EXPECT_EQ(stacks.threads_size() + stacks.threads_left_out(), 64);
  EXPECT_EQ(stacks.threads(0).frames_size(), 64);
  EXPECT_EQ(stacks.sockets_size(), 1);
}

TEST(ShortenStacksTest, OfTheMainThreadTheInnermostFramesStay) {
  proto::ProcessStacks stacks = LongOne();
  ShortenStacks(1000, stacks);

  EXPECT_LE(stacks.ByteSizeLong(), 1000U);
  ASSERT_EQ(stacks.threads_size(), 1);
  EXPECT_EQ(stacks.threads(0).tid(), 1);
  EXPECT_GT(stacks.threads(0).frames_size(), 5);
  EXPECT_NE(stacks.threads(0).problem(), "");
}

TEST(ShortenStacksTest, WhatFitsStays) {
  proto::ProcessStacks stacks = LongOne();
  ShortenStacks(size_t{1} << 20, stacks);

  EXPECT_EQ(stacks.SerializeAsString(), LongOne().SerializeAsString());
}

}  // namespace
}  // namespace lockstep::launcher
