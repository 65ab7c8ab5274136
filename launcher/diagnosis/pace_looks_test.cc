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
  void OnSlowLink(const collectives::SlowLink& slow, const collectives::Pace&) override {
    said_of_links_.push_back(slow);
  }
  /// One op of a rank's, which ends after `took`.
  void Op(int rank, const collectives::Recorder::Call& call, base::Duration took) {
    collectives::Recorder& recorder = ranks_[static_cast<size_t>(rank)]->recorder();
    collectives::Recorder::Call op = call;
    op.enqueued = loop_.Now();
    const auto ticket = recorder.Begin(op);
    recorder.Started(ticket, loop_.Now());
    loop_.RunFor(took);
    recorder.Ended(ticket, LOCKSTEP_RECORD_COMPLETED, 0, loop_.Now());
  }
  static uint8_t Value(OpKind kind) { return static_cast<uint8_t>(kind); }

  event::SimLoop loop_;
  std::vector<std::unique_ptr<SimRank>> ranks_;
  std::vector<WatchedRank> watched_;
  uint64_t transfer_seq_ = 0;
  RankLooks rank_looks_;
  PaceLooks looks_;
  PaceWatch watch_{
      {.window = seconds(2), .say_again = minutes(1), .options = {}}, loop_, looks_, *this};
  std::vector<Straggler> said_;
  std::vector<collectives::SlowLink> said_of_links_;
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

/// Clocks count from when the machine began.
TEST_F(PaceLooksTest, WindowsArriveFromMachinesThatHaveRunForMonths) {
  for (int step = 0; step < 10; ++step) Step(milliseconds(20));
  std::vector<PaceWindow> windows = looks_.Take(loop_.Now());
  for (PaceWindow& window : windows) {
    for (collectives::PaceBeat& beat : window.groups[0].beats) {
      beat.ended += base::Duration(int64_t{1} << 51);
      beat.in_ops += base::Duration(int64_t{1} << 51);
    }
  }
  const collectives::Pace pace = JudgePace(WindowsOf(ToProto(windows)));
  ASSERT_EQ(pace.stragglers.size(), 1u);
  EXPECT_EQ(pace.stragglers[0].turn_time, milliseconds(120));
  EXPECT_NEAR(pace.stragglers[0].in_ops_share, 5.0 / 120, 1e-6);
  EXPECT_NEAR(pace.stragglers[0].others_in_ops_share, 25.0 / 120, 1e-6);
}

TEST_F(PaceLooksTest, WhatDoesNotFitIntoAMessageIsLeftOutFromTheBeginning) {
  for (int step = 0; step < 20; ++step) Step(milliseconds(20));
  for (int i = 0; i < 8; ++i) Transfer(0, 1, milliseconds(10), 1 << 20);
  const std::vector<PaceWindow> windows = looks_.Take(loop_.Now());
  const size_t whole = ToProto(windows).SerializeAsString().size();
  const auto packed = [&](size_t bytes_max) {
    const std::string text = PackPaces(windows, bytes_max);
    EXPECT_LE(text.size(), bytes_max);
    proto::NodePace told;
    EXPECT_TRUE(told.ParseFromString(text));
    return WindowsOf(told);
  };
  EXPECT_FALSE(packed(whole)[0].is_cut);
  const std::vector<PaceWindow> without_lanes = packed(whole - 1);
  EXPECT_TRUE(without_lanes[0].is_cut);
  EXPECT_THAT(without_lanes[0].lanes, IsEmpty());
  EXPECT_EQ(without_lanes[0].groups[0].beats.size(), 20u);
  const std::vector<PaceWindow> half =
      packed(ToProto(without_lanes).SerializeAsString().size() - 1);
  ASSERT_EQ(half.size(), 3u);
  ASSERT_EQ(half[2].groups[0].beats.size(), 10u);
  EXPECT_EQ(half[2].groups[0].beats.front().block, 11u) << "the latest";
  EXPECT_EQ(JudgePace(half).stragglers.size(), 1u);
  EXPECT_TRUE(JudgePace(half).is_cut);
  EXPECT_EQ(PackPaces(windows, 1), "");
}

/// Rank 0 waits for another one elsewhere and comes late for that; of that wait there is no record
/// any more when it is looked at.
TEST_F(PaceLooksTest, WhoMakesMoreCallsThanAreReadIsNotNamed) {
  uint64_t elsewhere = 0;
  const auto step = [&](int calls) {
    loop_.RunFor(milliseconds(60));
    ranks_[1]->Call();
    ranks_[2]->Call();
    Op(0,
       {.group = GroupId(3),
        .seq = base::OpSeq(++elsewhere),
        .op = Value(OpKind::kBarrier),
        .group_size = 2},
       milliseconds(35));
    for (int i = 0; i < calls; ++i) ranks_[0]->CallElsewhere();
    ranks_[0]->Call();
    loop_.RunFor(milliseconds(5));
    for (const auto& rank : ranks_) rank->End();
    Look();
  };
  for (int i = 0; i < 20; ++i) step(1);
  EXPECT_THAT(JudgePace(looks_.Take(loop_.Now())).stragglers, IsEmpty());
  for (int i = 0; i < 20; ++i) step(1100);
  const std::vector<PaceWindow> windows = looks_.Take(loop_.Now());
  EXPECT_THAT(JudgePace(windows).stragglers, IsEmpty());
  EXPECT_EQ(windows[0].groups[0].beats.size(), 1u) << "since the last gap";
}

TEST_F(PaceLooksTest, OpsThatEndWhenAskedForAreNoWaiting) {
  for (int i = 1; i <= 4; ++i) {
    Op(0,
       {.group = GroupId(1),
        .seq = base::OpSeq(static_cast<uint64_t>(i)),
        .op = Value(OpKind::kAllReduce),
        .group_size = kRanks,
        .count_in = 4,
        .tag = "Iallreduce"},
       milliseconds(10));
  }
  Look();
  const std::vector<PaceWindow> windows = looks_.Take(loop_.Now());
  EXPECT_EQ(windows[0].ops, 4u);
  EXPECT_EQ(windows[0].in_ops, base::Duration(0));
}

TEST_F(PaceLooksTest, OpsInWhichSomeDoNotWaitTellNothing) {
  uint64_t seq = 0;
  const auto op = [&](OpKind kind, uint64_t in, uint64_t out) {
    Op(0,
       {.group = GroupId(1),
        .seq = base::OpSeq(++seq),
        .op = Value(kind),
        .group_size = kRanks,
        .count_in = in,
        .count_out = out},
       milliseconds(1));
  };
  op(OpKind::kAllToAllV, 4, 4);
  op(OpKind::kReduceScatterV, 12, 0);
  op(OpKind::kReduceScatterV, 12, 12);
  op(OpKind::kAllGatherV, 0, 12);
  op(OpKind::kAllReduce, 0, 0);
  op(OpKind::kBroadcast, 4, 4);
  Look();
  EXPECT_THAT(looks_.Take(loop_.Now())[0].groups, IsEmpty());
  op(OpKind::kReduceScatterV, 12, 4);
  op(OpKind::kAllGatherV, 4, 12);
  op(OpKind::kAllReduce, 4, 0);
  op(OpKind::kBarrier, 0, 0);
  Look();
  const std::vector<PaceWindow> windows = looks_.Take(loop_.Now());
  ASSERT_EQ(windows[0].groups.size(), 1u);
  EXPECT_EQ(windows[0].groups[0].beats.size(), 4u);
}

TEST_F(PaceLooksTest, WhoIsLateForADeclaredPhaseIsNotSlow) {
  const auto step = [this](bool declares) {
    loop_.RunFor(milliseconds(60));
    if (declares) ranks_.back()->recorder().SetPhase("checkpoint", loop_.Now() + seconds(60));
    for (int rank = 0; rank < kRanks - 1; ++rank) ranks_[static_cast<size_t>(rank)]->Call();
    loop_.RunFor(milliseconds(20));
    Look();
    loop_.RunFor(milliseconds(20));
    if (declares) ranks_.back()->recorder().SetPhase("", base::SteadyTime{});
    ranks_.back()->Call();
    loop_.RunFor(milliseconds(5));
    for (const auto& rank : ranks_) rank->End();
    Look();
  };
  for (int i = 0; i < 20; ++i) step(i % 2 == 0);
  const std::vector<PaceWindow> windows = looks_.Take(loop_.Now());
  EXPECT_EQ(windows[0].groups[0].beats.size(), 20u);
  EXPECT_EQ(windows[2].groups[0].beats.size(), 10u) << "those after no phase";
  for (int i = 0; i < 20; ++i) step(true);
  EXPECT_THAT(JudgePace(looks_.Take(loop_.Now())).stragglers, IsEmpty());
  for (int i = 0; i < 20; ++i) step(false);
  EXPECT_EQ(JudgePace(looks_.Take(loop_.Now())).stragglers.size(), 1u);
}

TEST_F(PaceLooksTest, OfTransfersThatOverlapTheSpeedOfALinkIsNotKnown) {
  for (int i = 0; i < 8; ++i) {
    collectives::Recorder::Ticket tickets[2];
    for (const int to : {1, 2}) {
      tickets[to - 1] =
          ranks_[0]->recorder().Begin({.group = GroupId(1),
                                       .seq = base::OpSeq(static_cast<uint64_t>(i + 1)),
                                       .op = Value(OpKind::kSend),
                                       .dtype = static_cast<uint8_t>(collectives::Dtype::kU8),
                                       .root_or_peer = to,
                                       .group_size = kRanks,
                                       .count_in = 1 << 20,
                                       .enqueued = loop_.Now()});
    }
    loop_.RunFor(milliseconds(10));
    for (const auto& ticket : tickets)
      ranks_[0]->recorder().Ended(ticket, LOCKSTEP_RECORD_COMPLETED, 1 << 20, loop_.Now());
    Look();
  }
  EXPECT_THAT(looks_.Take(loop_.Now())[0].lanes, IsEmpty());
  for (int i = 0; i < 20; ++i) Transfer(0, 1 + i % 2, milliseconds(10), 1 << 20);
  const std::vector<PaceWindow> windows = looks_.Take(loop_.Now());
  ASSERT_EQ(windows[0].lanes.size(), 2u);
  EXPECT_EQ(windows[0].lanes[0].count, 10u);
}

TEST_F(PaceLooksTest, GroupsThatCameLaterHaveAHistoryToo) {
  const auto use = [this](uint64_t group) {
    for (uint64_t seq = 2; seq < 30; ++seq) {
      Op(0,
         {.group = GroupId(group),
          .seq = base::OpSeq(seq),
          .op = Value(OpKind::kBarrier),
          .group_size = 2},
         milliseconds(1));
    }
    Look();
  };
  for (uint64_t group = 10; group < 266; ++group) use(group);
  use(500);
  EXPECT_FALSE(looks_.UsualAtMost(GroupId(500), Round(0), OpKind::kBarrier).has_value());
  loop_.RunFor(minutes(6));
  use(500);
  EXPECT_TRUE(looks_.UsualAtMost(GroupId(500), Round(0), OpKind::kBarrier).has_value());
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

/// That they are told again in later windows, until there are enough of them, shows nothing new.
TEST_F(PaceLooksTest, TheSameStepsAreNoSecondWindow) {
  for (int step = 0; step < 10; ++step) Step(milliseconds(40));
  for (int i = 0; i < 100; ++i) {
    loop_.RunFor(milliseconds(100));
    for (const auto& rank : ranks_) rank->CallElsewhere();
    Look();
  }
  EXPECT_THAT(said_, IsEmpty());
  EXPECT_EQ(watch_.last()->pace.stragglers.size(), 1u) << "it is still seen";
  for (int step = 0; step < 100; ++step) Step(milliseconds(40));
  EXPECT_EQ(said_.size(), 1u);
}

/// Of a rank whose links are slow another one is the slowest in each window.
TEST_F(PaceLooksTest, ARankWithSlowLinksIsSaidWhicheverIsTheSlowest) {
  const base::SteadyTime began = loop_.Now();
  while (loop_.Now() - began < seconds(20)) {
    const bool first = (loop_.Now() - began) / seconds(2) % 2 == 0;
    for (int from = 0; from < kRanks; ++from) {
      for (int to = 0; to < kRanks; ++to) {
        if (from == to) continue;
        const bool is_slow = from == 2, is_slowest = (to == 0) == first;
        Transfer(from, to, milliseconds(!is_slow ? 5 : is_slowest ? 50 : 40), 1 << 20);
      }
    }
  }
  ASSERT_EQ(said_of_links_.size(), 1u);
  EXPECT_EQ(RanksOf(said_of_links_[0]), std::vector{Rank(2)});
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
