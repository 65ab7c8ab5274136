// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/wide/placement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lockstep::collectives {
namespace {

using ::testing::ElementsAre;

TEST(PlacementTest, TwoMachinesOfTwoAreEvenAndInBlocks) {
  const Placement placement({7, 7, 3, 3}, 2);

  EXPECT_EQ(placement.machine_count(), 2);
  EXPECT_THAT(placement.machine(0), ElementsAre(0, 1));
  EXPECT_EQ(placement.mine(), 1);
  EXPECT_EQ(placement.index(), 0);
  EXPECT_THAT(placement.neighbors(), ElementsAre(2, 3));
  EXPECT_TRUE(placement.even());
  EXPECT_TRUE(placement.in_blocks());
  EXPECT_THAT(placement.Across(1), ElementsAre(1, 3));
}

TEST(PlacementTest, MembersInTurnAreNotInBlocks) {
  const Placement placement({0, 1, 0, 1}, 3);

  EXPECT_THAT(placement.machine(1), ElementsAre(1, 3));
  EXPECT_EQ(placement.index_of(2), 1);
  EXPECT_TRUE(placement.even());
  EXPECT_FALSE(placement.in_blocks());
}

TEST(PlacementTest, AMachineWithFewerMembersTakesItsFirstAcross) {
  const Placement placement({0, 0, 0, 1, 1}, 0);

  EXPECT_FALSE(placement.even());
  EXPECT_EQ(placement.largest(), 3);
  EXPECT_THAT(placement.Across(1), ElementsAre(1, 4));
  EXPECT_THAT(placement.Across(2), ElementsAre(2, 3));
}

TEST(PlacementTest, WhoSharesMemoryWithNobodyIsAlone) {
  const Placement placement({-1, -1, 5}, 1);

  EXPECT_EQ(placement.machine_count(), 3);
  EXPECT_EQ(placement.largest(), 1);
  EXPECT_EQ(placement.mine(), 1);
}

}  // namespace
}  // namespace lockstep::collectives
