// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/live_look.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "launcher/diagnosis/testing/sim_rank.h"
#include "runtime/event/sim_loop.h"

namespace lockstep::launcher {
namespace {

using base::Rank;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::SimRank;

/// The other machine's agent, which answers when it is told to.
class FakeFar final : public FarLooks {
 public:
  bool AnyStandsStill() const override { return false; }
  void Look(size_t records_max, std::function<void(FarRanks)> done) override {
    ++looks_;
    records_asked_ = records_max;
    done_ = std::move(done);
  }
  int looks() const { return looks_; }
  size_t records_asked() const { return records_asked_; }
  void Answer(FarRanks ranks) { std::exchange(done_, nullptr)(std::move(ranks)); }

 private:
  int looks_ = 0;
  size_t records_asked_ = 0;
  std::function<void(FarRanks)> done_;
};

/// Ranks 0 and 1 of this machine and, if there is one, rank 2 of another.
class LiveLookTest : public ::testing::Test {
 protected:
  LiveLookTest() {
    for (const int rank : {0, 1}) {
      ranks_.push_back(std::make_unique<SimRank>(loop_, rank, 2));
      watched_.push_back({.rank = Rank(rank), .pid = ::getpid(), .ring_fd = ranks_.back()->fd()});
    }
  }
  std::optional<proto::StatusReply> Take() {
    std::optional<proto::StatusReply> taken;
    live_.Take([&](const proto::StatusReply& live) { taken = live; });
    return taken;
  }

  event::SimLoop loop_;
  std::vector<std::unique_ptr<SimRank>> ranks_;
  std::vector<WatchedRank> watched_;
  int asked_ = 0;
  LiveLook live_{loop_, [this] {
                   ++asked_;
                   return watched_;
                 }};
};

TEST_F(LiveLookTest, TellsWhereAGroupStandsAndLooksAtTheAwaitedOnesProcess) {
  ranks_[0]->Call();
  ranks_[0]->Wait();
  loop_.RunFor(seconds(3));

  const auto live = Take();

  ASSERT_TRUE(live.has_value());
  ASSERT_EQ(live->groups_size(), 1);
  EXPECT_EQ(live->groups(0).state(), "waiting");
  EXPECT_EQ(live->groups(0).wait_ns(), 3'000'000'000);
  ASSERT_EQ(live->groups(0).awaited_size(), 1);
  EXPECT_EQ(live->groups(0).awaited(0).rank(), 1);
  EXPECT_EQ(live->groups(0).awaited(0).state(), "runs") << "its process is this one";
}

TEST_F(LiveLookTest, ManyWhoAskShareALook) {
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Take()->groups(0).state(), "new");
  EXPECT_EQ(asked_, 1);
  ranks_[0]->Call();
  ranks_[0]->Wait();
  loop_.RunFor(LiveLook::kFresh + milliseconds(1));
  EXPECT_EQ(Take()->groups(0).state(), "waiting");
  EXPECT_EQ(asked_, 2);
}

TEST_F(LiveLookTest, WhereNoRankRunsNothingIsTold) {
  watched_.clear();
  EXPECT_EQ(Take()->groups_size(), 0);
}

TEST_F(LiveLookTest, OtherMachinesAreAskedOnceForAllWhoWait) {
  FakeFar far;
  live_.SetFar(far);
  watched_.push_back({.rank = Rank(2), .host = "node-b", .pid = 7, .is_here = false});
  std::vector<proto::StatusReply> taken;
  for (int i = 0; i < 3; ++i)
    live_.Take([&](const proto::StatusReply& live) { taken.push_back(live); });
  EXPECT_TRUE(taken.empty());
  EXPECT_EQ(far.looks(), 1);

  FarRanks ranks;
  ranks[Rank(2)].seen = {.rank = Rank(2), .ring_read = true};
  ranks[Rank(2)].seen.step = 9;
  far.Answer(std::move(ranks));

  ASSERT_EQ(taken.size(), 3u);
  ASSERT_EQ(taken[0].ranks_size(), 3);
  EXPECT_EQ(taken[0].ranks(2).step(), 9);
}

TEST_F(LiveLookTest, OfManyRanksElsewhereFewRecordsAreFetched) {
  FakeFar far;
  LiveLook many(loop_, [] {
    std::vector<WatchedRank> ranks;
    for (int rank = 0; rank < 1000; ++rank)
      ranks.push_back({.rank = Rank(rank), .pid = 1, .is_here = false});
    return ranks;
  });
  many.SetFar(far);
  many.Take([](const proto::StatusReply&) {});
  EXPECT_EQ(far.records_asked(), 16u);
  far.Answer({});
}

TEST_F(LiveLookTest, WhoAsksMayBeGoneWhenTheAnswerComes) {
  FakeFar far;
  auto gone = std::make_unique<LiveLook>(loop_, [this] { return watched_; });
  gone->SetFar(far);
  gone->Take([](const proto::StatusReply&) { ADD_FAILURE() << "nobody is there to be told"; });
  gone.reset();
  far.Answer({});
}

TEST_F(LiveLookTest, WhatAnEarlierRoundDidIsNotTold) {
  FakeFar far;
  live_.SetFar(far);
  ranks_[0]->Call();
  std::vector<proto::StatusReply> taken;
  live_.Take([&](const proto::StatusReply& live) { taken.push_back(live); });

  live_.BeginRound();
  far.Answer({});

  ASSERT_EQ(taken.size(), 1u);
  EXPECT_EQ(taken[0].groups_size(), 0);
}

}  // namespace
}  // namespace lockstep::launcher
