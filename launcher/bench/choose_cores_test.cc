// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/bench/choose_cores.h"

#include <gmock/gmock.h>

#include <string>

namespace lockstep::launcher {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Processors 0 and 1 are threads of one core, 2 and 3 of another.
std::string CoreOfPair(int cpu) { return std::to_string(cpu / 2); }

TEST(ChooseCoresTest, EachRankGetsACoreOfItsOwnFirst) {
  EXPECT_THAT(ChooseFrom({0, 1, 2, 3}, 2, CoreOfPair), ElementsAre(0, 2));
  EXPECT_THAT(ChooseFrom({0, 1, 2, 3}, 3, CoreOfPair), ElementsAre(0, 2, 1));
  EXPECT_THAT(ChooseFrom({1, 2}, 2, CoreOfPair), ElementsAre(1, 2));
}

TEST(ChooseCoresTest, MoreRanksThanProcessorsAreNotBound) {
  EXPECT_THAT(ChooseFrom({0, 1}, 3, CoreOfPair), IsEmpty());
}

TEST(ChooseCoresTest, OnlyAllowedOnesAreChosen) {
  const std::vector<int> allowed = AllowedCores();
  ASSERT_FALSE(allowed.empty());
  for (const int cpu : ChooseCores(static_cast<int>(allowed.size())))
    EXPECT_THAT(allowed, ::testing::Contains(cpu));
  EXPECT_THAT(ChooseCores(static_cast<int>(allowed.size()) + 1), IsEmpty());
}

}  // namespace
}  // namespace lockstep::launcher
