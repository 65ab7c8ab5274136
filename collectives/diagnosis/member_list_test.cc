// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/diagnosis/member_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <vector>

namespace lockstep::collectives {
namespace {

using base::Rank;

std::vector<Rank> Ranks(std::initializer_list<int32_t> values) {
  std::vector<Rank> ranks;
  for (const int32_t value : values) ranks.emplace_back(value);
  return ranks;
}

std::vector<Rank> ItemsOf(const MemberList& list) { return {list.begin(), list.end()}; }

TEST(MemberListTest, HoldsWhateverItIsGiven) {
  for (const auto& ranks :
       {Ranks({}), Ranks({7}), Ranks({0, 1, 2}), Ranks({6, 4, 2}), Ranks({3, 3, 3}),
        Ranks({0, 1, 3}), Ranks({5, 0}), Ranks({INT32_MAX, INT32_MIN, 0}), Ranks({-1, -2})}) {
    const MemberList list = ranks;
    EXPECT_EQ(list.size(), ranks.size());
    EXPECT_EQ(list.empty(), ranks.empty());
    EXPECT_EQ(ItemsOf(list), ranks);
    for (size_t place = 0; place < ranks.size(); ++place) EXPECT_EQ(list[place], ranks[place]);
  }
}

TEST(MemberListTest, IsTheSameHoweverItIsMade) {
  EXPECT_EQ(MemberList(Ranks({2, 5, 8})), MemberList::Spaced(Rank(2), 3, 3));
  EXPECT_EQ(MemberList(Ranks({4})), MemberList::Spaced(Rank(4), 9, 1));
  EXPECT_EQ(MemberList(Ranks({})), MemberList::Spaced(Rank(4), 9, 0));
  EXPECT_FALSE(MemberList(Ranks({0, 1, 3})) == MemberList(Ranks({0, 1, 2})));
  EXPECT_FALSE(MemberList(Ranks({0, 1})) == MemberList(Ranks({0, 1, 2})));
}

TEST(MemberListTest, TellsThePlaceOfARank) {
  const MemberList list = MemberList::Spaced(Rank(2), 3, 4);
  EXPECT_EQ(std::find(list.begin(), list.end(), Rank(8)) - list.begin(), 2);
  EXPECT_EQ(std::find(list.begin(), list.end(), Rank(9)), list.end());
}

TEST(MemberListTest, ClearedItIsEmpty) {
  MemberList list = Ranks({0, 1, 3});
  list.clear();
  EXPECT_EQ(list, MemberList());
}

}  // namespace
}  // namespace lockstep::collectives
