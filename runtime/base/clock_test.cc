// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/base/clock.h"

#include <gtest/gtest.h>

namespace lockstep::base {
namespace {

using namespace std::chrono_literals;

TEST(SimClockTest, MovesOnlyWhenTold) {
  SimClock clock;
  const SteadyTime start = clock.Now();

  EXPECT_EQ(clock.Now(), start);
  clock.Advance(250ms);
  EXPECT_EQ(clock.Now() - start, 250ms);
}

TEST(SimClockTest, WallStepLeavesSteadyTimeAlone) {
  SimClock clock;
  const SteadyTime steady = clock.Now();
  const WallTime wall = clock.WallNow();

  clock.StepWall(-1h);

  EXPECT_EQ(clock.Now(), steady);
  EXPECT_EQ(clock.WallNow() - wall, -1h);
}

TEST(SimClockDeathTest, RunningBackwardsIsABug) {
  SimClock clock;
  EXPECT_DEATH(clock.AdvanceTo(SteadyTime(0s)), "backwards");
}

TEST(FormatTest, UtcShowsMicroseconds) {
  EXPECT_EQ(FormatUtc(WallTime(1772366400s + 123456us)), "2026-03-01T12:00:00.123456Z");
}

TEST(FormatTest, DurationPicksItsUnit) {
  EXPECT_EQ(FormatDuration(7ns), "7ns");
  EXPECT_EQ(FormatDuration(1500us), "1.5ms");
  EXPECT_EQ(FormatDuration(999'400us), "999ms");
  EXPECT_EQ(FormatDuration(999'600us), "1s") << "and not 1e+03ms";
  EXPECT_EQ(FormatDuration(250ms), "250ms");
  EXPECT_EQ(FormatDuration(1500ms), "1.5s");
  EXPECT_EQ(FormatDuration(150s), "2m30s");
  EXPECT_EQ(FormatDuration(3h + 5min), "3h05m");
  EXPECT_EQ(FormatDuration(-2s), "-2s");
}

}  // namespace
}  // namespace lockstep::base
