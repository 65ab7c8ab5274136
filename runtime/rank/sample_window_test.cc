// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/rank/sample_window.h"

#include <gtest/gtest.h>

#include <chrono>

namespace lockstep::rank {
namespace {

using namespace std::chrono_literals;

TEST(SampleWindowTest, TheFirstReportSaysNothingOfTheTimeBefore) {
  SampleWindow window;
  const base::SteadyTime start(1h);

  EXPECT_FALSE(window.Add(1000, start).has_value());
  const auto second = window.Add(32, start + 100ms);

  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(second->samples, 32u);
  EXPECT_EQ(second->since, start);
}

TEST(SampleWindowTest, WhatWasLongAgoCountsNoMore) {
  SampleWindow window;
  const base::SteadyTime start(1h);
  base::SteadyTime now = start;
  for (; now < start + 60s; now += 100ms) (void)window.Add(10, now);   // 100 a second
  for (; now < start + 120s; now += 100ms) (void)window.Add(50, now);  // 500

  const auto last = window.Add(50, now);

  ASSERT_TRUE(last.has_value());
  EXPECT_GE(now - last->since, 10s);
  EXPECT_LE(now - last->since, 11s);
  const double seconds = std::chrono::duration<double>(now - last->since).count();
  EXPECT_NEAR(static_cast<double>(last->samples) / seconds, 500, 1);
}

TEST(SampleWindowTest, OfSlowStepsTheLastOneCounts) {
  SampleWindow window;
  const base::SteadyTime start(1h);
  for (int step = 0; step < 5; ++step) (void)window.Add(64, start + step * 60s);

  const auto last = window.Add(128, start + 300s);

  ASSERT_TRUE(last.has_value());
  EXPECT_EQ(last->samples, 128u);
  EXPECT_EQ(last->since, start + 240s);
}

}  // namespace
}  // namespace lockstep::rank
