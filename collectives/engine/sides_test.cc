// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/engine/sides.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace lockstep::collectives {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Sides Of(std::vector<uint64_t> keys) { return Sides(keys); }

std::string Describe(const Sides& sides) {
  return sides.DescribeCalls(
      [](const std::vector<int>& members) {
        std::string names;
        for (const int member : members) names += std::to_string(member);
        return names;
      },
      [](int member) { return "what " + std::to_string(member) + " says"; });
}

TEST(SidesTest, WhoIsNotWithTheMajorityIsBlamed) {
  const Sides sides = Of({7, 5, 7, 9, 7});

  EXPECT_THAT(sides.all(), ElementsAre(ElementsAre(0, 2, 4), ElementsAre(1), ElementsAre(3)));
  EXPECT_TRUE(sides.has_majority());
  EXPECT_THAT(sides.Blamed(), ElementsAre(1, 3));
  EXPECT_EQ(Describe(sides), "024 called what 0 says; 1 called what 1 says; 3 called what 3 says");
}

TEST(SidesTest, WithoutAMajorityAllAre) {
  const Sides sides = Of({9, 5, 5, 9, 1});

  EXPECT_THAT(sides.all(), ElementsAre(ElementsAre(0, 3), ElementsAre(1, 2), ElementsAre(4)));
  EXPECT_FALSE(sides.has_majority());
  EXPECT_THAT(sides.Blamed(), ElementsAre(0, 3, 1, 2, 4));
  EXPECT_EQ(Describe(sides),
            "03 called what 0 says; 12 called what 1 says; 4 called what 4 says; no side is a "
            "majority, so either may be wrong");
}

TEST(SidesTest, OfManyDifferentCallsItSaysHowManyMoreThereAre) {
  EXPECT_EQ(Describe(Of({1, 2, 3, 4, 5, 6, 6, 6, 6, 6, 6, 6, 6})),
            "56789101112 called what 5 says; 0 called what 0 says; 1 called what 1 says; 2 called "
            "what 2 says; and there are 2 more calls");
}

TEST(SidesTest, MembersThatAgreeBlameNobody) {
  EXPECT_THAT(Of({3, 3}).Blamed(), IsEmpty());
  EXPECT_TRUE(Of({3}).has_majority());
}

}  // namespace
}  // namespace lockstep::collectives
