// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/diagnosis/hang_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "collectives/diagnosis/ring_evidence.h"
#include "collectives/diagnosis/words.h"
#include "collectives/recorder/recorder.h"
#include "collectives/recorder/ring_reader.h"
#include "collectives/types.h"
#include "launcher/diagnosis/hang_watch_fixture.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/event/sim_loop.h"

namespace lockstep::launcher {
namespace {

using base::Rank;
using collectives::Absence;
using collectives::Finding;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;
using testing::HangWatchTest;
using ::testing::IsEmpty;

TEST_F(HangWatchTest, WhereOpsUsuallyTakeLongTheNoticeComesLater) {
  for (int op = 0; op < 10; ++op) {
    for (const auto& rank : ranks_) rank->Call();
    loop_.RunFor(milliseconds(900));
    for (const auto& rank : ranks_) rank->End();
  }
  WaitForTheThird();
  loop_.RunFor(seconds(7));
  EXPECT_THAT(notices_, IsEmpty()) << "8 x 0.9 s";
  loop_.RunFor(seconds(3));
  EXPECT_EQ(notices_.size(), 1u);
}

TEST_F(HangWatchTest, OfOpsThatTakeMinutesItComesBeforeTheVerdictAllTheSame) {
  for (int op = 0; op < 10; ++op) {
    for (const auto& rank : ranks_) rank->Call();
    loop_.RunFor(seconds(20));
    for (const auto& rank : ranks_) rank->End();
  }
  WaitForTheThird();
  loop_.RunFor(seconds(29));
  EXPECT_THAT(notices_, IsEmpty());
  loop_.RunFor(seconds(2));
  EXPECT_EQ(notices_.size(), 1u);
  EXPECT_THAT(verdicts_, IsEmpty());
  loop_.RunFor(seconds(30));
  EXPECT_EQ(verdicts_.size(), 1u);
}

TEST_F(HangWatchTest, TimesAreSetWhileItWatches) {
  WaitForTheThird();
  loop_.RunFor(seconds(30));
  HangWatch::Times times = watch_.times();
  EXPECT_EQ(times.action_after, seconds(60));
  times.action_after = seconds(90);
  watch_.SetTimes(times);
  loop_.RunFor(seconds(50));
  EXPECT_THAT(verdicts_, IsEmpty());
  times.action_after = seconds(85);
  watch_.SetTimes(times);
  loop_.RunFor(seconds(6));
  EXPECT_EQ(verdicts_.size(), 1u);
}

TEST_F(HangWatchTest, ALongOpOnceIsNotUsual) {
  for (int op = 0; op < 10; ++op) {
    for (const auto& rank : ranks_) rank->Call();
    loop_.RunFor(op == 4 ? seconds(20) : milliseconds(10));
    for (const auto& rank : ranks_) rank->End();
  }
  WaitForTheThird();
  loop_.RunFor(milliseconds(2500));
  EXPECT_EQ(notices_.size(), 1u);
}

TEST_F(HangWatchTest, ABusyRankIsSaidOnceAndBlamedLater) {
  WaitForTheThird();
  loop_.RunFor(milliseconds(1900));
  EXPECT_THAT(notices_, IsEmpty());
  loop_.RunFor(milliseconds(500));
  ASSERT_EQ(notices_.size(), 1u);
  EXPECT_THAT(Culprits(notices_[0]), ElementsAre(Rank(2)));
  loop_.RunFor(seconds(57));
  EXPECT_EQ(notices_.size(), 1u) << "once";
  EXPECT_THAT(verdicts_, IsEmpty());
  loop_.RunFor(seconds(1));
  ASSERT_EQ(verdicts_.size(), 1u);
  EXPECT_THAT(Culprits(verdicts_[0]), ElementsAre(Rank(2)));
  loop_.RunFor(minutes(10));
  EXPECT_EQ(verdicts_.size(), 1u) << "once in a round";
}

TEST_F(HangWatchTest, LooksThatTakeLongAreFewer) {
  loop_.RunFor(seconds(10));
  EXPECT_EQ(look_count_, 40);
  look_count_ = 0;
  look_takes_ = milliseconds(12);
  loop_.RunFor(seconds(10));
  EXPECT_EQ(look_count_, 40) << "5 % of a core are to be had";
  look_count_ = 0;
  look_takes_ = milliseconds(50);
  loop_.RunFor(seconds(10));
  EXPECT_NEAR(look_count_, 10, 1) << "no sooner than after a second";
  look_count_ = 0;
  look_takes_ = milliseconds(0);
  loop_.RunFor(seconds(10));
  EXPECT_GE(look_count_, 36) << "as often as ever";
}

TEST_F(HangWatchTest, AGroupsFirstOpHasLonger) {
  MakeRanks();
  watch_.BeginRound();
  WaitForTheThird();
  loop_.RunFor(seconds(119));
  EXPECT_EQ(notices_.size(), 1u);
  EXPECT_THAT(verdicts_, IsEmpty());
  loop_.RunFor(seconds(2));
  EXPECT_EQ(verdicts_.size(), 1u);
}

TEST_F(HangWatchTest, HowLongAGroupsFirstOpHasIsSetWhileItWaits) {
  MakeRanks();
  watch_.BeginRound();
  WaitForTheThird();
  loop_.RunFor(seconds(100));
  HangWatch::Times times = watch_.times();
  times.init_deadline = minutes(5);
  watch_.SetTimes(times);
  loop_.RunFor(seconds(199));
  EXPECT_THAT(verdicts_, IsEmpty());
  loop_.RunFor(seconds(2));
  EXPECT_EQ(verdicts_.size(), 1u);
}

TEST_F(HangWatchTest, WhoComesInTimeIsNotBlamedAndIsSaidAgainTheNextTime) {
  for (int time = 0; time < 2; ++time) {
    WaitForTheThird();
    loop_.RunFor(seconds(3));
    ranks_[2]->Call();
    for (const auto& rank : {ranks_[0].get(), ranks_[1].get()}) rank->GoOn();
    ranks_[2]->End();
    loop_.RunFor(seconds(70));
  }
  EXPECT_EQ(notices_.size(), 2u);
  EXPECT_THAT(verdicts_, IsEmpty());
}

TEST_F(HangWatchTest, WhatIsProvableIsDecidedWithinASecond) {
  WaitForTheThird();
  watched_[2].ended = true;
  loop_.RunFor(milliseconds(1100));
  ASSERT_EQ(verdicts_.size(), 1u);
  EXPECT_EQ(verdicts_[0].culprits,
            (std::vector<Finding::Culprit>{{Rank(2), Absence::kEndedEarly}}));
  EXPECT_THAT(notices_, IsEmpty()) << "the verdict says it";
}

TEST_F(HangWatchTest, WhatOneLookSeesIsNoProofUntilTheNext) {
  WaitForTheThird();
  loop_.RunFor(milliseconds(400));
  watched_[2].ended = true;
  loop_.RunFor(milliseconds(350));  // one look since it waits for long enough
  EXPECT_THAT(verdicts_, IsEmpty());
  loop_.RunFor(milliseconds(250));
  EXPECT_EQ(verdicts_.size(), 1u);
}

TEST_F(HangWatchTest, AGangThatGoesOnAfterAVerdictIsWatchedOn) {
  WaitForTheThird();
  loop_.RunFor(seconds(70));
  ASSERT_EQ(verdicts_.size(), 1u);
  EXPECT_THAT(Culprits(verdicts_[0]), ElementsAre(Rank(2)));
  ranks_[2]->Call();
  for (const int rank : {0, 1}) ranks_[static_cast<size_t>(rank)]->GoOn();
  ranks_[2]->End();
  loop_.RunFor(minutes(5));
  EXPECT_EQ(verdicts_.size(), 1u);

  WaitForTheThird();
  loop_.RunFor(minutes(5));
  ASSERT_EQ(verdicts_.size(), 2u) << "once";
  EXPECT_THAT(Culprits(verdicts_[1]), ElementsAre(Rank(2)));
  EXPECT_EQ(notices_.size(), 2u);
}

TEST_F(HangWatchTest, WhileOthersGoOnAVerdictIsGivenOnce) {
  WaitForTheThird();
  for (int step = 0; step < 200; ++step) {
    ranks_[2]->recorder().SetStep(step);
    ranks_[2]->CallElsewhere();
    loop_.RunFor(seconds(1));
  }
  EXPECT_EQ(verdicts_.size(), 1u);
}

TEST_F(HangWatchTest, ADeclaredPhaseIsLeftInPeaceUntilTheDeadline) {
  ranks_[2]->recorder().SetPhase("checkpoint", loop_.Now() + minutes(20));
  WaitForTheThird();
  loop_.RunFor(seconds(290));
  ASSERT_EQ(notices_.size(), 1u);
  EXPECT_EQ(notices_[0].culprits[0].absence, Absence::kInDeclaredPhase);
  EXPECT_THAT(verdicts_, IsEmpty());
  loop_.RunFor(seconds(11));
  EXPECT_EQ(verdicts_.size(), 1u);
}

TEST_F(HangWatchTest, CallsThatEndedWellAreComparedToo) {
  for (const auto& rank : ranks_) {
    rank->Call(rank == ranks_[1] ? 8 : 4);
    rank->End();
  }
  loop_.RunFor(milliseconds(1100));
  ASSERT_EQ(verdicts_.size(), 1u);
  EXPECT_EQ(verdicts_[0].verdict_class, Finding::Class::kMismatch);
  EXPECT_THAT(Culprits(verdicts_[0]), ElementsAre(Rank(1)));
}

TEST_F(HangWatchTest, WhatTheProgramWasToldByAnErrorIsItsOwnToHandle) {
  // A call that differs, an error on all; and a deadline for which the third never came.
  for (const auto& rank : ranks_) {
    rank->Call(rank == ranks_[1] ? 8 : 4);
    rank->End(LOCKSTEP_RECORD_ERROR);
  }
  for (const int rank : {0, 1}) {
    ranks_[static_cast<size_t>(rank)]->Call();
    ranks_[static_cast<size_t>(rank)]->End(LOCKSTEP_RECORD_TIMED_OUT);
  }
  for (int step = 0; step < 100; ++step) {
    for (const int rank : {0, 1}) {  // they go on with something else
      ranks_[static_cast<size_t>(rank)]->recorder().SetStep(step);
      ranks_[static_cast<size_t>(rank)]->CallElsewhere();
    }
    loop_.RunFor(seconds(2));
  }
  EXPECT_THAT(notices_, IsEmpty());
  EXPECT_THAT(verdicts_, IsEmpty());
}

TEST_F(HangWatchTest, ASuspendedGangAndOneThatComputesAreLeftInPeace) {
  loop_.RunFor(minutes(10));  // nobody waits
  WaitForTheThird();
  suspended_ = true;
  loop_.RunFor(minutes(10));
  EXPECT_THAT(notices_, IsEmpty());
  EXPECT_THAT(verdicts_, IsEmpty());
}

TEST_F(HangWatchTest, TheLastLookTellsForWantOfWhomRanksFailed) {
  for (const auto& rank : ranks_) rank->CallElsewhere();  // the third goes no further
  for (const int rank : {0, 1}) {
    ranks_[static_cast<size_t>(rank)]->Call();
    ranks_[static_cast<size_t>(rank)]->End(LOCKSTEP_RECORD_ERROR);
  }
  loop_.RunFor(milliseconds(5));
  watch_.TakeLastLook(watched_);
  // How they end is known later: two by the error, and before them the third, as if all were well.
  const base::SteadyTime end = loop_.Now();
  for (const int rank : {0, 1, 2}) {
    WatchedRank& watched = watched_[static_cast<size_t>(rank)];
    watched.ended = true;
    watched.exit_code = rank == 2 ? 0 : 1;
    watched.ended_at = end;
  }
  loop_.RunFor(seconds(1));

  const auto look = watch_.JudgeLastLook(watched_);

  ASSERT_TRUE(look.has_value());
  EXPECT_EQ(look->finding.verdict_class, Finding::Class::kMissingRank);
  EXPECT_EQ(look->finding.culprits,
            (std::vector<Finding::Culprit>{{Rank(2), Absence::kEndedEarly}}));
  loop_.RunFor(minutes(10));
  EXPECT_THAT(verdicts_, IsEmpty()) << "nobody is watched any more";
  watch_.BeginRound();
  EXPECT_FALSE(watch_.JudgeLastLook(watched_).has_value()) << "of another round";
}

/// The failure seen: by the clock of its machine the second one had ended first, and was named.
TEST_F(HangWatchTest, WhoWasAliveAtTheLastLookHasNotFailedFirst) {
  for (const auto& rank : ranks_) rank->CallElsewhere();
  loop_.RunFor(milliseconds(100));
  watched_[0].ended = true;
  watched_[0].exit_code = 3;
  watched_[0].ended_at = loop_.Now();
  watch_.TakeLastLook(watched_);
  watched_[1].ended = true;
  watched_[1].exit_code = 1;
  watched_[1].ended_at = loop_.Now() - milliseconds(50);
  loop_.RunFor(milliseconds(10));

  const auto look = watch_.JudgeLastLook(watched_);

  ASSERT_TRUE(look.has_value());
  EXPECT_EQ(look->finding.verdict_class, Finding::Class::kDeadRank);
  EXPECT_EQ(look->finding.culprits, (std::vector<Finding::Culprit>{{Rank(0), Absence::kNone}}));
}

}  // namespace
}  // namespace lockstep::launcher
