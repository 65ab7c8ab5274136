// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/far_stacks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "runtime/event/sim_loop.h"

namespace lockstep::launcher {
namespace {

using base::NodeIndex;
using base::Rank;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

proto::ControlReply Reply(const std::vector<int>& ranks, int64_t pid = 7) {
  proto::ControlReply reply;
  for (const int rank : ranks) {
    proto::RankStacks& stacks = *reply.mutable_stacks()->add_ranks();
    stacks.set_rank(rank);
    stacks.mutable_process()->set_pid(pid);
  }
  return reply;
}

/// Node 0 is the coordinator's with rank 0; nodes 1 and 2 have ranks 1, 2 and 3, 4.
class FarStacksTest : public ::testing::Test {
 protected:
  FarStacksTest() {
    far_.SetWorld({.nodes = {{"h0", 1}, {"h1", 2}, {"h2", 2}}, .master_address = "h0"});
  }
  void Take(const std::vector<Rank>& ranks) {
    far_.Take(ranks, [this](std::vector<proto::RankStacks> taken) {
      EXPECT_FALSE(told_.has_value()) << "once";
      told_.emplace();
      for (const proto::RankStacks& rank : taken) told_->push_back(rank.rank());
      pid_ = taken.empty() ? 0 : taken.front().process().pid();
    });
    EXPECT_FALSE(told_.has_value()) << "not inside the call";
  }

  event::SimLoop loop_;
  std::map<NodeIndex, std::vector<int>> asked_;
  std::map<NodeIndex, OnAnswer> answers_;
  bool answers_at_once_ = false;
  std::optional<std::vector<int>> told_;
  int64_t pid_ = 0;
  FarStacks far_{[this](NodeIndex node, const proto::ControlRequest& request, OnAnswer answer) {
                   EXPECT_EQ(request.stacks().node(), node.value());
                   asked_[node].assign(request.stacks().ranks().begin(),
                                       request.stacks().ranks().end());
                   if (answers_at_once_) return answer(Reply(asked_[node]));
                   answers_[node] = std::move(answer);
                 },
                 loop_};
};

TEST_F(FarStacksTest, EachAgentIsAskedForItsOwn) {
  Take({Rank(3), Rank(1), Rank(2)});
  EXPECT_THAT(asked_, ElementsAre(std::pair(NodeIndex(1), std::vector{1, 2}),
                                  std::pair(NodeIndex(2), std::vector{3})));
  answers_[NodeIndex(2)](Reply({3}));
  answers_[NodeIndex(1)](Reply({2, 1}));
  loop_.RunFor(base::Duration(1));
  EXPECT_THAT(told_, ::testing::Optional(ElementsAre(1, 2, 3))) << "by rank";
}

TEST_F(FarStacksTest, AnAgentThatAnswersWithinTheCall) {
  answers_at_once_ = true;
  Take({Rank(1), Rank(4)});
  loop_.RunFor(base::Duration(1));
  EXPECT_THAT(told_, ::testing::Optional(ElementsAre(1, 4)));
}

TEST_F(FarStacksTest, AnAgentThatDoesNotAnswerInTimeIsNotAwaited) {
  Take({Rank(1), Rank(3)});
  answers_[NodeIndex(1)](Reply({1}));
  loop_.RunFor(FarStacks::kLimit - base::Duration(1));
  EXPECT_FALSE(told_.has_value());
  loop_.RunFor(base::Duration(1));
  EXPECT_THAT(told_, ::testing::Optional(ElementsAre(1)));
  answers_[NodeIndex(2)](Reply({3}));
  loop_.RunFor(FarStacks::kLimit);
}

TEST_F(FarStacksTest, RefusalsAndRanksThatNobodyAskedAbout) {
  Take({Rank(1), Rank(3)});
  proto::ControlReply no;
  no.mutable_error()->set_message("no");
  answers_[NodeIndex(1)](no);
  answers_[NodeIndex(2)](Reply({0, 1, 4, -1, 3, 3}));
  loop_.RunFor(base::Duration(1));
  EXPECT_THAT(told_, ::testing::Optional(ElementsAre(3)));
}

TEST_F(FarStacksTest, AnotherCallTakesTheFirstOnesPlace) {
  Take({Rank(1)});
  const OnAnswer late = answers_[NodeIndex(1)];
  Take({Rank(1)});
  late(Reply({1}, 8));
  loop_.RunFor(base::Duration(1));
  EXPECT_FALSE(told_.has_value()) << "an answer to the first";
  answers_[NodeIndex(1)](Reply({1}, 9));
  loop_.RunFor(base::Duration(1));
  EXPECT_EQ(pid_, 9);
}

TEST_F(FarStacksTest, RanksThatAreNot) {
  Take({Rank(5), Rank(-1)});
  loop_.RunFor(base::Duration(1));
  EXPECT_THAT(told_, ::testing::Optional(IsEmpty()));
  EXPECT_THAT(asked_, IsEmpty());
}

}  // namespace
}  // namespace lockstep::launcher
