// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/diagnosis/pace_looks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "collectives/diagnosis/pace.h"
#include "collectives/recorder/recorder.h"
#include "collectives/types.h"
#include "launcher/diagnosis/pace_messages.h"
#include "launcher/diagnosis/pace_watch.h"
#include "launcher/diagnosis/rank_looks.h"
#include "launcher/diagnosis/testing/sim_rank.h"
#include "runtime/event/sim_loop.h"

namespace lockstep::launcher {
namespace {

using base::GroupId;
using base::Rank;
using base::Round;
using collectives::OpKind;
using collectives::PaceWindow;
using collectives::Straggler;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::IsEmpty;
using testing::SimRank;

class PaceLooksTest : public ::testing::Test, public PaceDelegate {
 protected:
  static constexpr int kRanks = 3;

  PaceLooksTest() {
    for (int rank = 0; rank < kRanks; ++rank) {
      ranks_.push_back(std::make_unique<SimRank>(loop_, rank, kRanks));
      watched_.push_back({.rank = Rank(rank), .pid = ::getpid(), .ring_fd = ranks_.back()->fd()});
    }
    watch_.BeginRound();
    Look();
  }

  void Look() {
    rank_looks_.LookAtHeads(watched_, seconds(1), loop_.Now());
    looks_.Look(rank_looks_.RingsAtHeads(), loop_.Now());
  }

  /// A step of `compute` and 5 ms of an op; the last rank comes `late`.
  void Step(base::Duration late, base::Duration compute = milliseconds(95)) {
    loop_.RunFor(compute);
    for (int rank = 0; rank < kRanks - 1; ++rank) ranks_[static_cast<size_t>(rank)]->Call();
    loop_.RunFor(late);
    ranks_.back()->Call();
    loop_.RunFor(milliseconds(5));
    for (const auto& rank : ranks_) rank->End();
    Look();
  }
  void Transfer(int from, int to, base::Duration took, uint64_t bytes) {
    ++transfer_seq_;
    collectives::Recorder::Ticket tickets[2];
    for (const bool sends : {true, false}) {
      collectives::Recorder& recorder = ranks_[static_cast<size_t>(sends ? from : to)]->recorder();
      tickets[sends] =
          recorder.Begin({.group = GroupId(1),
                          .seq = base::OpSeq(transfer_seq_),
                          .op = static_cast<uint8_t>(sends ? OpKind::kSend : OpKind::kRecv),
                          .dtype = static_cast<uint8_t>(collectives::Dtype::kU8),
                          .root_or_peer = sends ? to : from,
                          .group_size = kRanks,
                          .count_in = bytes,
                          .enqueued = loop_.Now()});
    }
    loop_.RunFor(took);
    for (const bool sends : {true, false}) {
      ranks_[static_cast<size_t>(sends ? from : to)]->recorder().Ended(
          tickets[sends], LOCKSTEP_RECORD_COMPLETED, bytes, loop_.Now());
    }
    Look();
  }

  std::vector<WatchedRank> RanksToWatch() override { return watched_; }
  void OnStraggler(const Straggler& slow, const collectives::Pace&) override {
    said_.push_back(slow);
  }
  void OnSlowLink(const collectives::SlowLink&, const collectives::Pace&) override {}

  event::SimLoop loop_;
  std::vector<std::unique_ptr<SimRank>> ranks_;
  std::vector<WatchedRank> watched_;
  uint64_t transfer_seq_ = 0;
  RankLooks rank_looks_;
  PaceLooks looks_;
  PaceWatch watch_{
      {.window = seconds(2), .say_again = minutes(1), .options = {}}, loop_, looks_, *this};
  std::vector<Straggler> said_;
};

TEST_F(PaceLooksTest, WhatRanksDidIsSummedUp) {
  for (int step = 0; step < 10; ++step) Step(milliseconds(20));
  const std::vector<PaceWindow> windows = looks_.Take(loop_.Now());

  ASSERT_EQ(windows.size(), 3u);
  EXPECT_EQ(windows[0].ops, 10u);
  EXPECT_EQ(windows[0].in_ops, milliseconds(250));
  EXPECT_EQ(windows[2].in_ops, milliseconds(50));
  EXPECT_EQ(windows[0].length, milliseconds(1200));
  ASSERT_EQ(windows[0].groups.size(), 1u);
  const collectives::PaceGroup& group = windows[0].groups[0];
  EXPECT_EQ(group.name, "world");
  EXPECT_EQ(group.size, 3);
  EXPECT_EQ(group.kind, OpKind::kAllReduce);
  ASSERT_EQ(group.beats.size(), 10u);
  EXPECT_EQ(group.beats[4].block, 5u);
  EXPECT_EQ(group.beats[4].waited, milliseconds(25));
  EXPECT_EQ(group.beats[5].ended - group.beats[4].ended, milliseconds(120));

  EXPECT_EQ(looks_.Take(loop_.Now())[0].ops, 0u) << "each is told once";
}

TEST_F(PaceLooksTest, OpsThatFailedOrAreInProgressAreLeftOut) {
  Step(milliseconds(0));
  ranks_[0]->Call();
  loop_.RunFor(milliseconds(10));
  Look();
  EXPECT_EQ(looks_.Take(loop_.Now())[0].ops, 1u);
  loop_.RunFor(milliseconds(10));
  ranks_[0]->End();
  ranks_[1]->Call();
  loop_.RunFor(milliseconds(1));
  ranks_[1]->End(LOCKSTEP_RECORD_ERROR);
  Look();
  const std::vector<PaceWindow> windows = looks_.Take(loop_.Now());
  EXPECT_EQ(windows[0].ops, 1u) << "once it has ended";
  EXPECT_EQ(windows[1].ops, 0u);
}

TEST_F(PaceLooksTest, ManyOpsAreToldInRowsThatFitTogether) {
  for (int step = 0; step < 1000; ++step) Step(milliseconds(2), milliseconds(3));
  const std::vector<PaceWindow> windows = looks_.Take(loop_.Now());
  ASSERT_EQ(windows[0].groups.size(), 1u);
  EXPECT_GT(windows[0].groups[0].shift, 0);
  EXPECT_LE(windows[0].groups[0].beats.size(), 128u);
  const collectives::Pace pace = JudgePace(windows);
  ASSERT_EQ(pace.stragglers.size(), 1u);
  EXPECT_EQ(pace.stragglers[0].rank, Rank(2));

  // Then few: rows become shorter again.
  for (int window = 0; window < 8; ++window) {
    for (int step = 0; step < 5; ++step) Step(milliseconds(2));
    (void)looks_.Take(loop_.Now());
  }
  for (int step = 0; step < 5; ++step) Step(milliseconds(2));
  EXPECT_EQ(looks_.Take(loop_.Now())[0].groups[0].shift, 0);
}

TEST_F(PaceLooksTest, OfFewOpsThoseOfEarlierWindowsAreToldAgain) {
  for (int window = 0; window < 4; ++window) {
    for (int step = 0; step < 3; ++step) Step(milliseconds(40));
    const std::vector<PaceWindow> windows = looks_.Take(loop_.Now());
    EXPECT_EQ(windows[0].ops, 3u);
    EXPECT_EQ(windows[0].groups[0].beats.size(), static_cast<size_t>(3 * (window + 1)));
  }
}

TEST_F(PaceLooksTest, ANewProcessOfARankBeginsAnew) {
  Step(milliseconds(0));
  ranks_[1] = std::make_unique<SimRank>(loop_, 1, kRanks);
  watched_[1].ring_fd = ranks_[1]->fd();
  watched_[1].incarnation = base::Incarnation(1);
  Look();
  const PaceWindow window = looks_.Take(loop_.Now())[1];
  EXPECT_EQ(window.incarnation, base::Incarnation(1));
  EXPECT_EQ(window.ops, 0u);
}

TEST_F(PaceLooksTest, TransfersAreKeptByLane) {
  for (int i = 0; i < 20; ++i) Transfer(0, 1, milliseconds(10), 1 << 20);
  Transfer(0, 1, milliseconds(10), 1 << 10);  // too small
  const std::vector<PaceWindow> windows = looks_.Take(loop_.Now());
  ASSERT_EQ(windows[0].lanes.size(), 1u);
  EXPECT_TRUE(windows[0].lanes[0].sends);
  EXPECT_EQ(windows[0].lanes[0].peer, base::GroupRank(1));
  ASSERT_EQ(windows[1].lanes.size(), 1u);
  EXPECT_EQ(windows[1].lanes[0].transfers.size(), 16u) << "the latest";
  EXPECT_EQ(windows[1].lanes[0].transfers.back().seq, 20u);
  EXPECT_EQ(windows[1].lanes[0].transfers.back().took, milliseconds(10));
  EXPECT_THAT(looks_.Take(loop_.Now())[0].lanes, IsEmpty());
}

TEST_F(PaceLooksTest, WhatOpsUsuallyTakeIsKnownWithoutTheLongestOne) {
  const auto usual = [this] {
    return looks_.UsualAtMost(GroupId(1), Round(0), OpKind::kAllReduce);
  };
  EXPECT_FALSE(usual().has_value());
  Step(seconds(50));  // the group's first op: programs load and compile
  for (int step = 0; step < 20; ++step) Step(milliseconds(95));
  Step(seconds(10));  // once
  ASSERT_TRUE(usual().has_value());
  EXPECT_GE(*usual(), milliseconds(100));
  EXPECT_LT(*usual(), milliseconds(126));
  EXPECT_FALSE(looks_.UsualAtMost(GroupId(1), Round(0), OpKind::kBarrier).has_value());
}

TEST_F(PaceLooksTest, WindowsArriveAsTheyWereSent) {
  for (int step = 0; step < 10; ++step) Step(milliseconds(20));
  Transfer(2, 0, milliseconds(10), 1 << 20);
  const std::vector<PaceWindow> windows = looks_.Take(loop_.Now());
  const std::vector<PaceWindow> arrived = WindowsOf(ToProto(windows));
  ASSERT_EQ(arrived.size(), windows.size());
  EXPECT_EQ(arrived[2].in_ops, windows[2].in_ops);
  ASSERT_EQ(arrived[2].groups.size(), 1u);
  EXPECT_EQ(arrived[2].groups[0].name, "world");
  for (size_t i = 0; i < windows[2].groups[0].beats.size(); ++i) {
    EXPECT_EQ(arrived[2].groups[0].beats[i].block, windows[2].groups[0].beats[i].block);
    EXPECT_EQ(arrived[2].groups[0].beats[i].step, windows[2].groups[0].beats[i].step);
    EXPECT_EQ(arrived[2].groups[0].beats[i].waited, windows[2].groups[0].beats[i].waited);
  }
  ASSERT_EQ(arrived[2].lanes.size(), 1u);
  EXPECT_EQ(arrived[2].lanes[0].transfers[0].took, milliseconds(10));
  EXPECT_EQ(JudgePace(arrived).ranks[2].lateness, milliseconds(20));
}

TEST_F(PaceLooksTest, ListsThatDoNotFitTogetherAreLeftOut) {
  for (int step = 0; step < 10; ++step) Step(milliseconds(20));
  proto::NodePace told = ToProto(looks_.Take(loop_.Now()));
  told.mutable_ranks(0)->mutable_groups(0)->add_block(7);
  told.mutable_ranks(1)->mutable_groups(0)->set_size(-4);
  told.mutable_ranks(1)->mutable_groups(0)->set_shift(-1);
  told.mutable_ranks(1)->mutable_groups(0)->set_kind(999);
  told.mutable_ranks(1)->set_length_ns(INT64_MIN);
  told.mutable_ranks(2)->mutable_groups(0)->set_ended_us(3, INT64_MAX);
  told.mutable_ranks(2)->mutable_groups(0)->set_ended_us(4, INT64_MAX);
  told.mutable_ranks(2)->mutable_groups(0)->set_in_ops_us(5, INT64_MIN);
  told.mutable_ranks(2)->mutable_groups(0)->set_waited_us(4, UINT64_MAX);
  const std::vector<PaceWindow> windows = WindowsOf(told);
  ASSERT_EQ(windows.size(), 3u);
  EXPECT_THAT(windows[0].groups[0].beats, IsEmpty());
  EXPECT_EQ(windows[1].groups[0].shift, 0);
  EXPECT_EQ(windows[1].length, base::Duration(0));
  (void)JudgePace(windows);
}

/// Steps that take longer than a window.
TEST_F(PaceLooksTest, OfALongStepTheSlowRankIsFoundToo) {
  for (int step = 0; step < 12; ++step) Step(milliseconds(900), seconds(3));
  ASSERT_EQ(said_.size(), 1u);
  EXPECT_EQ(said_[0].rank, Rank(2));
}

TEST_F(PaceLooksTest, ASlowRankIsSaidAfterTwoWindowsAndOnceInAWhile) {
  for (int step = 0; step < 16; ++step) Step(milliseconds(0));  // 1.6 s
  while (loop_.Now().time_since_epoch() < seconds(4)) Step(milliseconds(40));
  EXPECT_THAT(said_, IsEmpty()) << "one window";
  const base::SteadyTime began = loop_.Now();
  while (said_.empty() && loop_.Now() - began < seconds(10)) Step(milliseconds(40));
  ASSERT_EQ(said_.size(), 1u);
  EXPECT_EQ(said_[0].rank, Rank(2));
  EXPECT_EQ(said_[0].lateness, milliseconds(40));
  while (loop_.Now() - began < seconds(50)) Step(milliseconds(40));
  EXPECT_EQ(said_.size(), 1u);
  while (loop_.Now() - began < seconds(70)) Step(milliseconds(40));
  EXPECT_EQ(said_.size(), 2u);
  ASSERT_TRUE(watch_.last().has_value());
  EXPECT_EQ(watch_.last()->pace.ranks.size(), 3u);
}

TEST_F(PaceLooksTest, OfNobodyToWatchNothingIsSaid) {
  while (loop_.Now().time_since_epoch() < seconds(3)) Step(milliseconds(40));
  const std::vector<WatchedRank> watched = std::exchange(watched_, {});
  loop_.RunFor(seconds(2));  // suspended
  watched_ = watched;
  while (loop_.Now().time_since_epoch() < seconds(6)) Step(milliseconds(40));
  EXPECT_THAT(said_, IsEmpty()) << "not two windows in a row";
}

}  // namespace
}  // namespace lockstep::launcher
