// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// A watch of ranks that live on other machines, too.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "collectives/diagnosis/ring_evidence.h"
#include "collectives/recorder/ring_copy.h"
#include "collectives/recorder/ring_reader.h"
#include "launcher/diagnosis/hang_watch_fixture.h"
#include "launcher/diagnosis/mapped_ring.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/event/sim_loop.h"

namespace lockstep::launcher {
namespace {

using base::Rank;
using collectives::Absence;
using collectives::Finding;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// Rank 2, or ranks 1 and 2, live elsewhere; their agent answers after 300 ms, or does not.
class FarHangWatchTest : public testing::HangWatchTest, public FarLooks {
 protected:
  FarHangWatchTest() {
    watch_.SetFar(*this, [this] { return segments_; });
  }

  void Live(int first_far) {
    first_far_ = first_far;
    for (int rank = first_far; rank < kRanks; ++rank) {
      WatchedRank& watched = watched_[static_cast<size_t>(rank)];
      watched.is_here = false;
      watched.ring_fd = -1;  // it is there
    }
  }
  /// Rank 1's machine has sent again what rank 2's has not acknowledged, for 3 s.
  void AllWaitAndNothingReachesTheThird() {
    Live(1);
    watched_[1].host = "h1";
    watched_[2].host = "h2";
    for (const auto& rank : ranks_) {
      rank->Call();
      rank->Wait();
    }
    sockets_[1] = {.local = "10.0.0.1:1", .remote = "10.0.0.2:2"};
    sockets_[2] = {.local = "10.0.0.2:2", .remote = "10.0.0.1:1"};
    sockets_[1].unacked_bytes = 9;
    sockets_[1].retransmits = 4;
    sockets_[1].rto_ms = 3200;
  }
  bool AnyStandsStill() const override { return far_stands_; }
  void Look(size_t records_max, std::function<void(FarRanks)> done) override {
    ++looks_;
    FarRanks seen = See(records_max);
    answer_ = loop_.After(milliseconds(300),
                          [seen, done = std::move(done)]() mutable { done(std::move(seen)); });
  }
  FarRanks See(size_t records_max) const {
    FarRanks seen;
    const auto now_ns = static_cast<uint64_t>(loop_.Now().time_since_epoch().count());
    for (int rank = first_far_; rank < kRanks && answers_; ++rank) {
      const auto ring = MappedRing::Create(ranks_[static_cast<size_t>(rank)]->fd()).value();
      FarRank& far = seen[Rank(rank)];
      far.ring = collectives::UnpackRing(collectives::PackRing(ring->memory(), records_max).value(),
                                         seconds(0))
                     .value();
      far.seen = collectives::FromRing(
          collectives::ReadRing(collectives::MemoryOf(far.ring)).value(), now_ns);
      far.seen.rank = Rank(rank);
      far.seen.process = {.state = states_.at(rank),
                          .host = watched_[static_cast<size_t>(rank)].host,
                          .pid = 7,
                          .segments_sent = 1000,
                          .segments_lost = lost_};
      if (sockets_.contains(rank)) far.seen.sockets = {sockets_.at(rank)};
    }
    return seen;
  }

  std::map<int, collectives::SeenSocket> sockets_;  // of each at most one
  process::TcpCounters segments_;                   // of this machine's network
  uint64_t lost_ = 0;                               // of 1,000 segments, elsewhere
  int first_far_ = kRanks;
  bool far_stands_ = false;
  bool answers_ = true;
  std::map<int, collectives::ProcessState> states_{{1, collectives::ProcessState::kSleeps},
                                                   {2, collectives::ProcessState::kSleeps}};
  int looks_ = 0;
  event::Registration answer_;
};

TEST_F(FarHangWatchTest, WhoIsStoppedElsewhereIsNamed) {
  Live(2);
  states_[2] = collectives::ProcessState::kStopped;
  WaitForTheThird();
  loop_.RunFor(seconds(2));
  ASSERT_EQ(verdicts_.size(), 1u);
  EXPECT_THAT(Culprits(verdicts_[0]), ElementsAre(Rank(2)));
  EXPECT_EQ(verdicts_[0].culprits[0].absence, Absence::kStopped);
  EXPECT_EQ(watch_.rings().size(), 3u) << "for the evidence";
}

TEST_F(FarHangWatchTest, AConnectionIsBrokenOnceItHasBeenFoundSoForASecond) {
  AllWaitAndNothingReachesTheThird();
  loop_.RunFor(milliseconds(2100));
  EXPECT_THAT(verdicts_, IsEmpty()) << "it was found after 1.2 s at the earliest";
  loop_.RunFor(milliseconds(1400));
  ASSERT_EQ(verdicts_.size(), 1u);
  EXPECT_EQ(verdicts_[0].verdict_class, Finding::Class::kNetworkStall);
  EXPECT_THAT(Culprits(verdicts_[0]), ElementsAre(Rank(1), Rank(2)));
}

TEST_F(FarHangWatchTest, OfANetworkThatLosesPacketsNoticesAreLateToo) {
  AllWaitAndNothingReachesTheThird();
  lost_ = 100;
  loop_.RunFor(seconds(11));
  EXPECT_THAT(verdicts_, IsEmpty());
  EXPECT_THAT(notices_, IsEmpty());
  sockets_[1].retransmits = 7;
  sockets_[1].rto_ms = 25600;
  loop_.RunFor(seconds(3));
  ASSERT_EQ(verdicts_.size(), 1u);
  EXPECT_EQ(verdicts_[0].verdict_class, Finding::Class::kNetworkStall);
}

TEST_F(FarHangWatchTest, WhatThisMachinesNetworkLosesCountsAsMuch) {
  for (const bool loses : {false, true}) {
    SCOPED_TRACE(loses);
    AllWaitAndNothingReachesTheThird();
    watch_.BeginRound();
    for (int look = 0; look < 24; ++look) {
      segments_.sent += 10;
      segments_.resent += loses ? 1 : 0;
      loop_.RunFor(milliseconds(250));
    }
    EXPECT_EQ(verdicts_.empty(), loses);
    verdicts_.clear();
    for (const auto& rank : ranks_) rank->GoOn();
  }
}

TEST_F(FarHangWatchTest, WhoWaitsElsewhereIsToldByItsAgent) {
  Live(1);
  states_[2] = collectives::ProcessState::kStopped;
  ranks_[1]->Call();
  ranks_[1]->Wait();  // and rank 0, here, computes
  loop_.RunFor(seconds(3));
  EXPECT_EQ(looks_, 0) << "a gang that goes on costs no message";
  far_stands_ = true;
  loop_.RunFor(seconds(3));
  ASSERT_EQ(verdicts_.size(), 1u);
  EXPECT_THAT(Culprits(verdicts_[0]), ElementsAre(Rank(2)));
}

TEST_F(FarHangWatchTest, OneLookAtATime) {
  Live(2);
  WaitForTheThird();
  loop_.RunFor(seconds(10));
  // From 500 ms on, one each 250 ms that begins after the answer to the one before.
  EXPECT_GE(looks_, 17);
  EXPECT_LE(looks_, 20);
  EXPECT_THAT(verdicts_, IsEmpty()) << "who sleeps has a minute";
  EXPECT_EQ(notices_.size(), 1u);
}

TEST_F(FarHangWatchTest, OfANodeThatDoesNotAnswerNothingIsKnown) {
  Live(2);
  answers_ = false;
  WaitForTheThird();
  loop_.RunFor(seconds(10));
  ASSERT_EQ(notices_.size(), 1u);
  EXPECT_EQ(notices_[0].verdict_class, Finding::Class::kUnknown);
  EXPECT_THAT(notices_[0].unheard, ElementsAre(Rank(2)));
  EXPECT_THAT(verdicts_, IsEmpty());
  watched_[2].ended = true;  // as the gang knows
  watched_[2].signal = 9;
  loop_.RunFor(seconds(2));
  ASSERT_EQ(verdicts_.size(), 1u);
  EXPECT_EQ(verdicts_[0].verdict_class, Finding::Class::kDeadRank);
  EXPECT_THAT(Culprits(verdicts_[0]), ElementsAre(Rank(2)));
}

/// The failure seen: nobody was looked at any more once it had been said that too little is known.
TEST_F(FarHangWatchTest, ANodeThatAnswersAfterTheDeadlineIsHeardAllTheSame) {
  Live(2);
  answers_ = false;
  WaitForTheThird();
  loop_.RunFor(seconds(400));
  ASSERT_EQ(verdicts_.size(), 1u) << "said once";
  EXPECT_EQ(verdicts_[0].verdict_class, Finding::Class::kUnknown);
  EXPECT_THAT(Culprits(verdicts_[0]), IsEmpty());
  const int looks_before = looks_;
  loop_.RunFor(seconds(100));
  EXPECT_LE(looks_ - looks_before, 110) << "once a second";
  answers_ = true;
  loop_.RunFor(seconds(2));
  ASSERT_EQ(verdicts_.size(), 2u);
  EXPECT_EQ(verdicts_[1].verdict_class, Finding::Class::kMissingRank);
  EXPECT_THAT(Culprits(verdicts_[1]), ElementsAre(Rank(2)));
}

TEST_F(FarHangWatchTest, WhoseCallsAreInNoRingIsNotBlamedForMakingNone) {
  for (const bool is_recorded : {false, true}) {
    MakeRanks();
    watch_.BeginRound();
    watched_[2].ring_fd = -1;
    watched_[2].is_recorded = is_recorded;
    WaitForTheThird();
    loop_.RunFor(seconds(150));
    EXPECT_EQ(verdicts_.size(), is_recorded ? 1u : 0u);
    ASSERT_FALSE(notices_.empty());
    EXPECT_EQ(notices_.back().verdict_class,
              is_recorded ? Finding::Class::kMissingRank : Finding::Class::kUnknown);
  }
}

TEST_F(FarHangWatchTest, WhatWasSeenElsewhereIsOldWhenAllGoOn) {
  Live(1);
  ranks_[1]->Call();
  ranks_[1]->Wait();  // for rank 2, there too, and rank 0
  far_stands_ = true;
  loop_.RunFor(seconds(1));
  EXPECT_GE(looks_, 1);
  far_stands_ = false;
  ranks_[0]->Call();
  ranks_[2]->Call();
  ranks_[1]->GoOn();
  ranks_[0]->End();
  ranks_[2]->End();
  for (int minute = 0; minute < 6 * 60; ++minute) {  // calls of one's own, which are compared
    ranks_[0]->CallElsewhere();
    loop_.RunFor(seconds(1));
  }
  EXPECT_THAT(notices_, IsEmpty());
  EXPECT_THAT(verdicts_, IsEmpty());
}

TEST_F(FarHangWatchTest, AnAnswerOfAnEarlierRoundIsForgotten) {
  Live(2);
  WaitForTheThird();
  ranks_[2]->Call(8);  // what it differs in is sure at once
  loop_.RunFor(milliseconds(900));
  EXPECT_EQ(looks_, 1) << "asked, and not answered yet";
  MakeRanks();
  Live(2);
  watch_.BeginRound();
  loop_.RunFor(seconds(10));
  EXPECT_THAT(verdicts_, IsEmpty());
  EXPECT_THAT(notices_, IsEmpty());
}

TEST_F(FarHangWatchTest, AnotherProcessOfTheRankTellsNothingOfThisOne) {
  Live(2);
  states_[2] = collectives::ProcessState::kStopped;
  watched_[2].incarnation = base::Incarnation(5);
  WaitForTheThird();
  loop_.RunFor(seconds(10));
  EXPECT_THAT(verdicts_, IsEmpty());
  ASSERT_EQ(notices_.size(), 1u);
  EXPECT_EQ(notices_[0].verdict_class, Finding::Class::kUnknown);
}

TEST_F(FarHangWatchTest, TheLastLookKnowsNothingOfWhoDoesNotAnswerIt) {
  Live(2);
  states_[2] = collectives::ProcessState::kStopped;
  WaitForTheThird();
  loop_.RunFor(milliseconds(1100));
  EXPECT_EQ(looks_, 1);
  EXPECT_EQ(watch_.rings().size(), 3u) << "it was seen once";
  watch_.TakeLastLook(watched_);  // and the round has ended before the answer

  const auto look = watch_.JudgeLastLook(watched_);

  ASSERT_TRUE(look.has_value());
  EXPECT_NE(look->finding.verdict_class, Finding::Class::kMissingRank);
  EXPECT_THAT(look->finding.culprits, IsEmpty());
}

}  // namespace
}  // namespace lockstep::launcher
