// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/awake_clock.h"

#include <gtest/gtest.h>

namespace lockstep::collectives {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(AwakeClockTest, TimePassesWhileSomebodyLooks) {
  base::SimClock steady;
  AwakeClock clock(steady);
  const AwakeTime begin = clock.Now();
  for (int i = 0; i < 100; ++i) {
    steady.Advance(AwakeClock::kPause);
    (void)clock.Now();
  }
  EXPECT_EQ(clock.Now() - begin, 100 * AwakeClock::kPause);
}

TEST(AwakeClockTest, OfALongTimeWithoutALookOnlyAPausePassed) {
  base::SimClock steady;
  AwakeClock clock(steady);
  const AwakeTime begin = clock.Now();
  steady.Advance(milliseconds(10));
  EXPECT_EQ(clock.Now() - begin, milliseconds(10));
  steady.Advance(seconds(3600));
  EXPECT_EQ(clock.Now() - begin, milliseconds(10) + AwakeClock::kPause);
  steady.Advance(milliseconds(20));
  EXPECT_EQ(clock.Now() - begin, milliseconds(30) + AwakeClock::kPause);
}

TEST(AwakeClockTest, WhoComesLateWithAReadingGetsTheTimeOfTheLastLook) {
  base::SimClock steady;
  AwakeClock clock(steady);
  const base::SteadyTime before = steady.Now();
  const AwakeTime begin = clock.Now();
  steady.Advance(seconds(10));
  EXPECT_EQ(clock.Now(), begin + AwakeClock::kPause);
  EXPECT_EQ(clock.At(before), begin + AwakeClock::kPause);  // read before the pause, told after it
  EXPECT_EQ(clock.Now(), begin + AwakeClock::kPause);
}

}  // namespace
}  // namespace lockstep::collectives
