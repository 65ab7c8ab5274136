// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/awake_clock.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

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

TEST(AwakeClockTest, LooksThatFollowEachOtherClosely) {
  base::SimClock steady;
  AwakeClock clock(steady);
  const AwakeTime begin = clock.Now();
  for (int i = 1; i <= 5000; ++i) {
    steady.Advance(std::chrono::microseconds(300));
    ASSERT_EQ(clock.Now() - begin, i * std::chrono::microseconds(300));
  }
  steady.Advance(seconds(60));
  // Its pause begins at the last look that was remembered, less than a millisecond before.
  EXPECT_GE(clock.Now() - begin, milliseconds(1500) + AwakeClock::kPause - milliseconds(1));
  EXPECT_LE(clock.Now() - begin, milliseconds(1500) + AwakeClock::kPause);
}

// Each thread's readings are of one moment, before the pause or after it, whoever counts the pause.
TEST(AwakeClockTest, NoThreadSeesHalfAPause) {
  base::SimClock steady;
  for (int round = 0; round < 200; ++round) {
    AwakeClock clock(steady);
    const base::SteadyTime before = steady.Now();
    const AwakeTime begin = clock.At(before);
    const base::SteadyTime after = before + seconds(10);
    std::atomic<bool> go{false};
    const auto look = [&] {
      while (!go.load()) {
      }
      for (int i = 0; i < 50; ++i) {
        const AwakeTime early = clock.At(before);
        EXPECT_TRUE(early == begin || early == begin + AwakeClock::kPause)
            << (early - begin).count();
        const AwakeTime late = clock.At(after);
        EXPECT_TRUE(late == begin + AwakeClock::kPause) << (late - begin).count();
      }
    };
    std::thread first(look), second(look);
    go = true;
    first.join();
    second.join();
  }
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
