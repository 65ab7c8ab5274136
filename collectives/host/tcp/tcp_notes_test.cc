// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/tcp_notes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace lockstep::collectives {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Optional;

TEST(TcpNotesTest, TheFirstNoticeStays) {
  TcpNotes notes(2);
  EXPECT_EQ(notes.notice(), std::nullopt);

  EXPECT_TRUE(notes.SetNotice("first"));
  EXPECT_FALSE(notes.SetNotice("second"));

  EXPECT_THAT(notes.notice(), Optional<std::string>("first"));
}

TEST(TcpNotesTest, TheLastNotesOfEachMemberAreKept) {
  TcpNotes notes(2);
  notes.Put(1, 1, "old");
  notes.Put(1, 1 + TcpNotes::kKept, "new");
  notes.Put(1, 1, "old again");

  EXPECT_EQ(notes.Get(1, 1), std::nullopt);
  EXPECT_THAT(notes.Get(1, 1 + TcpNotes::kKept), Optional<std::string>("new"));
  EXPECT_EQ(notes.Get(0, 1), std::nullopt);
  EXPECT_EQ(notes.Get(1, 0), std::nullopt) << "no op has that number";
}

TEST(TcpNotesTest, ANoticeComesToEachMemberOnce) {
  EXPECT_THAT(TcpNotes::NoticeChildrenOf(0, 4), ElementsAre(1, 2, 3));
  EXPECT_THAT(TcpNotes::NoticeChildrenOf(1, 17), IsEmpty());
  for (const int count : {1, 2, 17, 18, 1024}) {
    std::vector<int> told(static_cast<size_t>(count));
    for (int member = 0; member < count; ++member) {
      for (const int child : TcpNotes::NoticeChildrenOf(member, count)) {
        EXPECT_EQ(TcpNotes::NoticeParentOf(child), member);
        ++told[static_cast<size_t>(child)];
      }
    }
    EXPECT_EQ(told[0], 0);
    EXPECT_EQ(std::accumulate(told.begin(), told.end(), 0), count - 1);
    EXPECT_EQ(*std::max_element(told.begin(), told.end()), count > 1 ? 1 : 0);
  }
}

TEST(TcpNotesTest, WhatIsKeptComesInItsOrder) {
  TcpNotes notes(2);
  EXPECT_THAT(notes.Kept(1), IsEmpty());
  for (uint64_t seq = 1; seq <= TcpNotes::kKept + 1; ++seq) notes.Put(1, seq, std::to_string(seq));

  const auto kept = notes.Kept(1);
  ASSERT_EQ(kept.size(), TcpNotes::kKept);
  EXPECT_EQ(*kept.begin(), (std::pair<const uint64_t, std::string>(2, "2")));
  EXPECT_EQ(kept.rbegin()->second, std::to_string(TcpNotes::kKept + 1));
}

}  // namespace
}  // namespace lockstep::collectives
