// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// What a member's agent tells of its ranks (node_watch.h), and what the coordinator's makes of it.
#include "launcher/agent/far_gang.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "collectives/diagnosis/pace.h"
#include "collectives/recorder/ring_copy.h"
#include "collectives/recorder/ring_reader.h"
#include "launcher/agent/node_watch.h"
#include "launcher/diagnosis/testing/sim_rank.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/event/sim_loop.h"
#include "runtime/proto/evidence.pb.h"

namespace lockstep::launcher {
namespace {

using base::NodeIndex;
using base::Rank;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::SimRank;

/// Node 0 is the coordinator's with rank 0; node 1 has ranks 1 and 2, and this agent.
class FarGangTest : public ::testing::Test {
 protected:
  FarGangTest() {
    for (const int rank : {1, 2}) {
      ranks_.push_back(std::make_unique<SimRank>(loop_, rank, 3));
      watched_.push_back({.rank = Rank(rank),
                          .incarnation = base::Incarnation(4),
                          .pid = ::getpid(),
                          .ring_fd = ranks_.back()->fd()});
    }
    far_.SetWorld({.nodes = {{"h0", 1}, {"h1", 2}}, .master_address = "h0"}, NodeIndex(0));
  }
  FarRanks Look(size_t records_max = 64) {
    FarRanks all;
    bool done = false;
    far_.Look(records_max, [&](FarRanks seen) {
      all = std::move(seen);
      done = true;
    });
    EXPECT_TRUE(done);
    return all;
  }

  event::SimLoop loop_;
  std::vector<std::unique_ptr<SimRank>> ranks_;
  std::vector<WatchedRank> watched_;
  std::vector<bool> said_;
  NodeWatch node_{{},
                  {.loop = loop_,
                   .ranks = [this] { return watched_; },
                   .say = [this](bool stands) { said_.push_back(stands); }}};
  bool refuses_ = false;
  std::vector<NodeIndex> asked_;
  FarGang far_{[this](NodeIndex node, const proto::ControlRequest& request, OnAnswer answer) {
                 asked_.push_back(node);
                 proto::ControlReply reply;
                 if (refuses_) {
                   reply.mutable_error()->set_message("no");
                 } else {
                   *reply.mutable_look() = node_.Answer(request.look());
                 }
                 answer(std::move(reply));
               },
               loop_};
};

TEST_F(FarGangTest, AnAgentTellsWhenARankBeginsToWaitAndWhenItGoesOn) {
  loop_.RunFor(seconds(10));
  EXPECT_THAT(said_, IsEmpty()) << "a gang that goes on says nothing by itself";
  ranks_[0]->Call();
  ranks_[0]->Wait();
  loop_.RunFor(seconds(10));
  EXPECT_THAT(said_, ElementsAre(true));
  ranks_[0]->GoOn();
  loop_.RunFor(seconds(10));
  EXPECT_THAT(said_, ElementsAre(true, false));
  ranks_[0]->Call();
  ranks_[0]->Wait();
  loop_.RunFor(seconds(1));
  watched_.clear();  // the round is over
  loop_.RunFor(seconds(1));
  EXPECT_THAT(said_, ElementsAre(true, false, true, false));
}

TEST_F(FarGangTest, NodesThatStandStillAreThoseThatSaySo) {
  EXPECT_FALSE(far_.AnyStandsStill());
  far_.OnStanding(NodeIndex(1), true);
  EXPECT_TRUE(far_.AnyStandsStill());
  far_.OnStanding(NodeIndex(1), false);
  EXPECT_FALSE(far_.AnyStandsStill());
  far_.OnStanding(NodeIndex(7), true);
  EXPECT_FALSE(far_.AnyStandsStill()) << "no such node";
  far_.OnStanding(NodeIndex(1), true);
  far_.OnNodeLost(NodeIndex(1));
  EXPECT_FALSE(far_.AnyStandsStill());
  EXPECT_THAT(Look(), IsEmpty());
  EXPECT_THAT(asked_, IsEmpty());
}

TEST_F(FarGangTest, WhatAnAgentSeesComesWithTheRings) {
  for (int op = 0; op < 100; ++op) {
    ranks_[1]->Call();
    ranks_[1]->End();
  }
  ranks_[1]->Call();
  watched_[0].ended = true;
  watched_[0].exit_code = 3;
  loop_.RunFor(seconds(2));

  const FarRanks seen = Look(16);

  EXPECT_THAT(asked_, ElementsAre(NodeIndex(1)));
  ASSERT_EQ(seen.size(), 2u);
  const FarRank& ended = seen.at(Rank(1));
  EXPECT_EQ(ended.seen.process.state, collectives::ProcessState::kEnded);
  EXPECT_EQ(ended.seen.process.exit_code, 3);
  const FarRank& lives = seen.at(Rank(2));
  EXPECT_EQ(lives.incarnation, base::Incarnation(4));
  EXPECT_EQ(lives.seen.process.pid, ::getpid());
  EXPECT_TRUE(lives.seen.ring_read);
  ASSERT_OK_AND_ASSIGN(const auto ring, collectives::ReadRing(collectives::MemoryOf(lives.ring)));
  ASSERT_EQ(ring.records.size(), 16u);
  EXPECT_EQ(ring.records.back().seq, 101u);
}

TEST_F(FarGangTest, WhoAnswersLateIsNotWaitedFor) {
  std::vector<OnAnswer> answers;
  FarGang far([&](NodeIndex, const proto::ControlRequest&,
                  OnAnswer answer) { answers.push_back(std::move(answer)); },
              loop_);
  far.SetWorld({.nodes = {{"h0", 1}, {"h1", 1}, {"h2", 1}}, .master_address = "h0"}, NodeIndex(0));
  std::vector<size_t> came;
  far.Look(16, [&](const FarRanks& seen) { came.push_back(seen.size()); });
  ASSERT_EQ(answers.size(), 2u);
  watched_.resize(1);
  proto::ControlReply reply;
  *reply.mutable_look() = node_.Answer({});
  answers[0](reply);
  loop_.RunFor(milliseconds(400));
  EXPECT_THAT(came, IsEmpty());
  loop_.RunFor(milliseconds(200));
  EXPECT_THAT(came, ElementsAre(1u)) << "of the other node nothing";
  answers[1](reply);
  EXPECT_EQ(came.size(), 1u);
  far.Look(16, [&](const FarRanks& seen) { came.push_back(seen.size()); });
  far.Look(16, [&](const FarRanks& seen) { came.push_back(seen.size()); });
  EXPECT_THAT(came, ElementsAre(1u, 0u)) << "the earlier one is over";
}

TEST_F(FarGangTest, NoClockOfANodeMakesItsWaitsOlder) {
  ranks_[0]->Call();
  ranks_[0]->Wait();
  proto::LookReply reply = node_.Answer({});
  proto::GangProcesses processes;
  ASSERT_TRUE(processes.ParseFromString(reply.processes()));
  for (const uint64_t odd : {uint64_t{0}, UINT64_MAX, uint64_t{1} << 63}) {
    processes.set_monotonic_ns(odd);
    processes.mutable_ranks(0)->set_ended_ago_ns(INT64_MIN);
    reply.set_processes(processes.SerializeAsString());
    FarGang far(
        [&](NodeIndex, const proto::ControlRequest&, const OnAnswer& answer) {
          proto::ControlReply told;
          *told.mutable_look() = reply;
          answer(told);
        },
        loop_);
    far.SetWorld({.nodes = {{"h0", 1}, {"h1", 2}}, .master_address = "h0"}, NodeIndex(0));
    far.Look(16, [](const FarRanks& seen) {
      ASSERT_EQ(seen.size(), 2u);
      EXPECT_EQ(seen.at(Rank(1)).seen.process.ended_ago, base::Duration(0));
    });
  }
}

TEST_F(FarGangTest, WhoHasNoRingHasMadeNoCallUnlessItIsNotRecorded) {
  for (WatchedRank& rank : watched_) rank.ring_fd = -1;
  watched_[1].is_recorded = false;
  const FarRanks seen = Look();
  EXPECT_TRUE(seen.at(Rank(1)).seen.ring_read);
  EXPECT_FALSE(seen.at(Rank(2)).seen.ring_read);
}

TEST_F(FarGangTest, OfAnAgentThatRefusesNothingIsKnown) {
  refuses_ = true;
  EXPECT_THAT(Look(), IsEmpty());
}

TEST_F(FarGangTest, AnAgentIsBelievedOfItsOwnRanksAlone) {
  watched_[1].rank = Rank(0);  // the coordinator's own
  watched_.push_back({.rank = Rank(99), .pid = ::getpid()});
  const FarRanks seen = Look();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen.begin()->first, Rank(1));
}

TEST_F(FarGangTest, HowFastRanksGoIsToldOnceAndOfItsOwnRanksAlone) {
  watched_[1].rank = Rank(0);  // the coordinator's own
  for (int op = 0; op < 8; ++op) {
    for (const auto& rank : ranks_) rank->Call();
    loop_.RunFor(milliseconds(50));
    for (const auto& rank : ranks_) rank->End();
    loop_.RunFor(milliseconds(250));
  }
  std::vector<collectives::PaceWindow> told;
  const auto take = [&] {
    far_.TakePaces([&](std::vector<collectives::PaceWindow> windows) { told = windows; });
  };
  take();
  EXPECT_THAT(asked_, ElementsAre(NodeIndex(1)));
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].rank, Rank(1));
  EXPECT_EQ(told[0].ops, 8u);
  EXPECT_EQ(told[0].in_ops, milliseconds(400));
  take();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].ops, 0u) << "since it was last asked";
  refuses_ = true;
  take();
  EXPECT_THAT(told, IsEmpty());
}

TEST_F(FarGangTest, WhoDoesNotTellHowFastItsRanksGoIsNotWaitedFor) {
  int taken = 0;
  FarGang far([](NodeIndex, const proto::ControlRequest&, const OnAnswer&) {}, loop_);
  far.SetWorld({.nodes = {{"h0", 1}, {"h1", 2}}, .master_address = "h0"}, NodeIndex(0));
  far.TakePaces([&](const std::vector<collectives::PaceWindow>&) { ++taken; });
  loop_.RunFor(milliseconds(1900));
  EXPECT_EQ(taken, 0);
  loop_.RunFor(milliseconds(200));
  EXPECT_EQ(taken, 1);
  far.OnNodeLost(NodeIndex(1));
  far.TakePaces([&](const std::vector<collectives::PaceWindow>&) { ++taken; });
  EXPECT_EQ(taken, 2) << "there is nobody to ask";
}

TEST_F(FarGangTest, ManyRanksOfANodeFitIntoAMessage) {
  std::vector<std::unique_ptr<SimRank>> many;
  for (int rank = 3; rank < 203; ++rank) {
    many.push_back(std::make_unique<SimRank>(loop_, rank, 203));
    watched_.push_back({.rank = Rank(rank), .pid = ::getpid(), .ring_fd = many.back()->fd()});
    for (int op = 0; op < 300; ++op) many.back()->Call();
  }
  proto::LookRequest request;
  request.set_records_max(256);
  const proto::LookReply reply = node_.Answer(request);
  EXPECT_EQ(reply.rings_size(), 202);
  EXPECT_LT(reply.ByteSizeLong(), size_t{1} << 20);
  EXPECT_GT(reply.ByteSizeLong(), size_t{500} << 10) << "as much as there is room for";
}

}  // namespace
}  // namespace lockstep::launcher
