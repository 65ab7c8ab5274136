// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/engine/backend.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace lockstep::collectives {
namespace {

using base::Rank;

GroupSpec SpecOf(std::vector<Rank> ranks) {
  GroupSpec spec;
  spec.job = "job";
  spec.name = "world/subset";
  spec.rank = base::GroupRank(0);
  spec.world_ranks = std::move(ranks);
  return spec;
}

const std::vector<Rank> kBoth{Rank(0), Rank(1)};

// Their splits have one name and the same members. They once were told apart by their order, which
// threads of two members need not agree on.
TEST(DerivedSpecsTest, SplitsOfTwoGroupsAreTwoGroupsInWhateverOrderTheyAreMade) {
  const GroupSpec a = SpecOf({Rank(0), Rank(1), Rank(2)}), b = SpecOf({Rank(0), Rank(1), Rank(3)});
  const std::string name = "world/subset/1.0";
  DerivedSpecs one, other;
  const auto a_first = one.Next(a, OpKind::kSplit, name, kBoth).Id();
  const auto b_then = one.Next(b, OpKind::kSplit, name, kBoth).Id();
  const auto b_first = other.Next(b, OpKind::kSplit, name, kBoth).Id();
  const auto a_then = other.Next(a, OpKind::kSplit, name, kBoth).Id();
  EXPECT_NE(a_first, b_then);
  EXPECT_EQ(a_first, a_then);
  EXPECT_EQ(b_first, b_then);
}

TEST(DerivedSpecsTest, WhatComesOfDifferentParentsMeetsByTheNumberOfAttempts) {
  const GroupSpec part = SpecOf(kBoth), world = SpecOf({Rank(0), Rank(1), Rank(2)});
  const std::string name = "world/subset";
  DerivedSpecs grows, joins;
  const GroupSpec of_split = grows.Next(world, OpKind::kSplit, "world/1.0", kBoth);
  const auto grown = grows.Next(of_split, OpKind::kGrow, name, world.world_ranks);
  const auto joined = joins.Next(world, OpKind::kGrow, name, world.world_ranks);
  EXPECT_EQ(grown.Id(), joined.Id());
  EXPECT_EQ(grown.instance, 1u);
  EXPECT_NE(grows.Next(part, OpKind::kGrow, name, world.world_ranks).Id(), grown.Id());
}

}  // namespace
}  // namespace lockstep::collectives
