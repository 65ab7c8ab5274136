// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/sim/host_loop.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "runtime/event/sim_loop.h"

namespace lockstep::sim {
namespace {

using namespace std::chrono_literals;

TEST(HostLoopTest, TimersAreDueByTheHostsOwnClock) {
  event::SimLoop world;
  HostLoop fast(world, {.steady_ahead = 100h, .drift_ppm = 100'000});
  HostLoop slow(world, {.steady_ahead = 5s, .drift_ppm = -100'000});
  const base::SteadyTime start = world.Now();
  const base::SteadyTime fast_due = fast.Now() + 11s;
  base::Duration fast_took{0};
  base::Duration slow_took{0};

  const auto one = fast.At(fast_due, [&] {
    EXPECT_GE(fast.Now(), fast_due);
    EXPECT_LT(fast.Now(), fast_due + 10ns);
    fast_took = world.Now() - start;
  });
  const auto other = slow.After(9s, [&] { slow_took = world.Now() - start; });
  world.RunFor(20s);

  EXPECT_NEAR(static_cast<double>(fast_took.count()), 10e9, 10);
  EXPECT_NEAR(static_cast<double>(slow_took.count()), 10e9, 10);
}

TEST(HostLoopTest, WallClocksDifferAsTheyWereSet) {
  event::SimLoop world;
  HostLoop right(world, {});
  HostLoop wrong(world, {.steady_ahead = 7s, .wall_ahead = -3h});

  EXPECT_EQ(right.clock().WallNow() - wrong.clock().WallNow(), 3h);
}

TEST(HostLoopTest, FarDeadlinesAndThoseInThePastStayTimes) {
  event::SimLoop world;
  HostLoop loop(world, {.steady_ahead = 100h, .drift_ppm = -200});
  bool ran = false;

  const auto never = loop.At(base::SteadyTime::max(), [] { FAIL() << "that is never"; });
  const auto past = loop.At(base::SteadyTime{}, [&] { ran = true; });
  world.RunFor(1s);

  EXPECT_TRUE(ran);
}

TEST(HostLoopTest, WhatIsDueWhileItIsStoppedRunsInOrderWhenItGoesOn) {
  event::SimLoop world;
  HostLoop loop(world, {});
  std::string ran;
  const auto first = loop.After(1s, [&] { ran += "1"; });
  const auto third = loop.After(3s, [&] { ran += "3"; });
  const auto second = loop.After(2s, [&] { ran += "2"; });
  auto never = loop.After(2s, [&] { FAIL() << "it was cancelled"; });
  const auto later = loop.After(10s, [&] { ran += "4"; });

  loop.Stop();
  world.RunFor(5s);
  EXPECT_EQ(ran, "");
  EXPECT_TRUE(first.active());
  never.reset();
  loop.Continue();
  EXPECT_TRUE(loop.is_behind());
  world.RunFor(1ms);

  EXPECT_EQ(ran, "123");
  EXPECT_FALSE(loop.is_behind());
  EXPECT_FALSE(first.active());
  world.RunFor(5s);
  EXPECT_EQ(ran, "1234");
}

}  // namespace
}  // namespace lockstep::sim
