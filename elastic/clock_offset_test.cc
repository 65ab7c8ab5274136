// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "elastic/clock_offset.h"

#include <gtest/gtest.h>

#include "runtime/base/clock.h"

namespace lockstep::elastic {
namespace {

using base::Duration;
using base::WallTime;
using namespace std::chrono_literals;

/// An exchange that starts at `asked`, takes `there` and `back`, with a clock that is `ahead`.
void Exchange(ClockOffset& clock, Duration asked, Duration there, Duration back, Duration ahead) {
  clock.Observe(WallTime(asked), WallTime(asked + there + ahead), WallTime(asked + there + back));
}

TEST(ClockOffsetTest, KnowsNothingBeforeTheFirstExchange) {
  EXPECT_FALSE(ClockOffset().Get().has_value());
}

TEST(ClockOffsetTest, EvenPathGivesTheOffsetExactly) {
  for (const Duration ahead : {Duration(0), Duration(3h), Duration(-90s), Duration(1us)}) {
    ClockOffset clock;
    Exchange(clock, 100s, 2ms, 2ms, ahead);
    EXPECT_EQ(clock.Get()->offset, ahead);
    EXPECT_EQ(clock.Get()->error, 2ms);
  }
}

TEST(ClockOffsetTest, UnevenPathStaysWithinTheError) {
  ClockOffset clock;
  Exchange(clock, 100s, 9ms, 1ms, 40ms);

  EXPECT_EQ(clock.Get()->error, 5ms);
  EXPECT_EQ(clock.Get()->offset, 44ms);
}

TEST(ClockOffsetTest, FastestOfTheLastExchangesDecides) {
  ClockOffset clock;
  Exchange(clock, 1s, 8ms, 2ms, 40ms);
  Exchange(clock, 2s, 100us, 100us, 40ms);
  Exchange(clock, 3s, 1ms, 7ms, 40ms);

  EXPECT_EQ(clock.Get()->offset, 40ms);
  EXPECT_EQ(clock.Get()->error, 100us);
}

TEST(ClockOffsetTest, WhatIsKnownOfClocksThatDriftGrowsOld) {
  ClockOffset clock;
  EXPECT_FALSE(clock.GetAt(WallTime(1s)).has_value());
  Exchange(clock, 1s, 100us, 100us, 40ms);
  Exchange(clock, 3s, 1ms, 1ms, 41ms);

  EXPECT_EQ(clock.GetAt(WallTime(1s + 200us))->error, 100us);
  EXPECT_EQ(clock.GetAt(WallTime(1s + 200us))->offset, 40ms);
  EXPECT_EQ(clock.GetAt(WallTime(4s + 2ms))->error, 2ms);
  EXPECT_EQ(clock.GetAt(WallTime(4s + 2ms))->offset, 41ms);
}

TEST(ClockOffsetTest, OldExchangesAreForgotten) {
  ClockOffset clock;
  Exchange(clock, 1s, 1ms, 1ms, 0ms);
  for (size_t i = 0; i < ClockOffset::kExchanges; ++i) Exchange(clock, 2s, 5ms, 5ms, 2ms);

  EXPECT_EQ(clock.Get()->offset, 2ms);
  EXPECT_EQ(clock.Get()->error, 5ms);
}

TEST(ClockOffsetTest, OfEquallyFastOnesTheLatestDecides) {
  ClockOffset clock;
  Exchange(clock, 1s, 1ms, 1ms, 10us);
  Exchange(clock, 2s, 1ms, 1ms, 30us);

  EXPECT_EQ(clock.Get()->offset, 30us);
}

TEST(ClockOffsetTest, SteppedClockCountsFromItsFirstExchange) {
  ClockOffset clock;
  for (int i = 0; i < 5; ++i) Exchange(clock, 1s, 50us, 50us, 0ms);
  Exchange(clock, 2s, 3ms, 3ms, 1h);

  EXPECT_EQ(clock.Get()->offset, 1h);
  EXPECT_EQ(clock.Get()->error, 3ms);
}

TEST(ClockOffsetTest, ExchangeOverAStepOfOurClockIsIgnored) {
  ClockOffset clock;
  clock.Observe(WallTime(10s), WallTime(10s), WallTime(9s));
  EXPECT_FALSE(clock.Get().has_value());
}

TEST(ClockOffsetTest, NonsenseFromTheOtherSideOverflowsNothing) {
  ClockOffset clock;
  clock.Observe(WallTime(-10s), WallTime::max(), WallTime(10s));
  EXPECT_EQ(clock.Get()->offset, Duration::max());
  clock.Observe(WallTime(10s), WallTime::min(), WallTime(10s));
  EXPECT_EQ(clock.Get()->offset, Duration::min());
}

TEST(ClockOffsetTest, NewsIsWhatLiesOutsideOfWhatWasKnownOrIsKnownMuchBetter) {
  const ClockOffset::Estimate known{.offset = 40ms, .error = 5ms};

  EXPECT_FALSE(ClockOffset::IsNews(known, known));
  EXPECT_FALSE(ClockOffset::IsNews(known, {.offset = 45ms, .error = 9ms}));
  EXPECT_TRUE(ClockOffset::IsNews(known, {.offset = 46ms, .error = 9ms}));
  EXPECT_TRUE(ClockOffset::IsNews(known, {.offset = 34ms, .error = 9ms}));
  EXPECT_FALSE(ClockOffset::IsNews(known, {.offset = 41ms, .error = 3ms}));
  EXPECT_TRUE(ClockOffset::IsNews(known, {.offset = 41ms, .error = 2ms}));
}

TEST(ClockOffsetTest, ClocksThatDriftByMicrosecondsAreNoNews) {
  const ClockOffset::Estimate known{.offset = 0ms, .error = 20us};

  EXPECT_FALSE(ClockOffset::IsNews(known, {.offset = 900us, .error = 20us}));
  EXPECT_TRUE(ClockOffset::IsNews(known, {.offset = 1001us, .error = 20us}));
  EXPECT_TRUE(ClockOffset::IsNews(known, {.offset = Duration::max(), .error = 20us}));
}

}  // namespace
}  // namespace lockstep::elastic
