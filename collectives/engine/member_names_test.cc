// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/engine/member_names.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace lockstep::collectives {
namespace {

TEST(MemberNamesTest, MembersAreNamedByTheirRanksInTheWorldAndOfManyHowManyMore) {
  std::vector<base::Rank> world_ranks;
  for (int rank = 100; rank < 120; ++rank) world_ranks.emplace_back(rank);
  std::vector<int> members(9);
  std::iota(members.begin(), members.end(), 1);

  EXPECT_EQ(NameMembers(world_ranks, std::vector{3}), "rank 103");
  EXPECT_EQ(NameMembers(world_ranks, std::vector{1, 4}), "ranks 101, 104");
  EXPECT_EQ(NameMembers(world_ranks, std::span(members).first(8)),
            "ranks 101, 102, 103, 104, 105, 106, 107, 108");
  EXPECT_EQ(NameMembers(world_ranks, members),
            "ranks 101, 102, 103, 104, 105, 106, 107, 108 and 1 more");
}

}  // namespace
}  // namespace lockstep::collectives
