// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/bench/core_distance.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <chrono>
#include <optional>

namespace lockstep::bench {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;

/// The first processor from `from` on that this process may use; -1: there is none.
int CpuFrom(int from) {
  cpu_set_t set;
  CPU_ZERO(&set);
  EXPECT_EQ(sched_getaffinity(0, sizeof set, &set), 0);
  for (int cpu = from; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) return cpu;
  }
  return -1;
}

TEST(CoreDistanceTest, BetweenTwoProcessorsItIsLessThanATimeSlice) {
  const int one = CpuFrom(0), other = CpuFrom(one + 1);
  if (other < 0) GTEST_SKIP() << "one processor";

  const std::optional<double> nanoseconds = LineRoundTripNanoseconds(one, other, seconds(50));

  ASSERT_TRUE(nanoseconds.has_value());
  EXPECT_GT(*nanoseconds, 1);
  EXPECT_LT(*nanoseconds, 100'000);
}

// Each turn once cost the time slice of the one who waited for it, without end in sight.
TEST(CoreDistanceTest, OnOneProcessorItEndsAllTheSame) {
  const int cpu = CpuFrom(0);
  const auto since = steady_clock::now();

  (void)LineRoundTripNanoseconds(cpu, cpu, seconds(2));

  EXPECT_LT(steady_clock::now() - since, seconds(20));
}

TEST(CoreDistanceTest, WhatTakesLongerThanItsLimitIsNotKnown) {
  const int cpu = CpuFrom(0);

  EXPECT_EQ(LineRoundTripNanoseconds(cpu, cpu, seconds(0)), std::nullopt);
}

TEST(CoreDistanceTest, OfAProcessorThatItMayNotUseNothingIsKnown) {
  const auto since = steady_clock::now();

  EXPECT_EQ(LineRoundTripNanoseconds(CpuFrom(0), CPU_SETSIZE - 1, seconds(60)), std::nullopt);
  EXPECT_EQ(LineRoundTripNanoseconds(CPU_SETSIZE - 1, CpuFrom(0), seconds(60)), std::nullopt);

  EXPECT_LT(steady_clock::now() - since, seconds(40)) << "it waited for who never comes";
}

TEST(CoreDistanceTest, AProcessOfOneProcessorHasNone) {
  cpu_set_t before, one;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  CPU_ZERO(&one);
  CPU_SET(CpuFrom(0), &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);

  EXPECT_EQ(LineRoundTripNanoseconds(), std::nullopt);
  EXPECT_EQ(sched_setaffinity(0, sizeof before, &before), 0);
}

}  // namespace
}  // namespace lockstep::bench
