// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/base/random.h"

#include <gtest/gtest.h>

namespace lockstep::base {
namespace {

TEST(RandomTest, SeedReplaysTheSameNumbers) {
  Random random(1);
  EXPECT_EQ(random.Next(), 0x910a2dec89025cc1u);  // splitmix64's published first output for seed 1
  Random a(7), b(7);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(a.Next(), b.Next());
}

TEST(RandomTest, BelowStaysBelowAndReachesBothEnds) {
  Random random(2);
  bool saw[3] = {};
  for (int i = 0; i < 1000; ++i) saw[random.Below(3)] = true;
  EXPECT_TRUE(saw[0] && saw[1] && saw[2]);
}

TEST(RandomTest, UnitIsInItsRange) {
  Random random(3);
  for (int i = 0; i < 1000; ++i) {
    const double unit = random.Unit();
    EXPECT_GE(unit, 0);
    EXPECT_LT(unit, 1);
  }
}

}  // namespace
}  // namespace lockstep::base
