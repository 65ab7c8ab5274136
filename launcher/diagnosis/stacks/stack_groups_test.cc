// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/diagnosis/stacks/stack_groups.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace lockstep::launcher {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// `functions` from main() inwards.
proto::RankStacks Rank(int rank, const std::vector<std::string>& functions,
                       const std::string& module = "train") {
  proto::RankStacks stacks;
  stacks.set_rank(rank);
  proto::ThreadStack& thread = *stacks.mutable_process()->add_threads();
  for (auto function = functions.rbegin(); function != functions.rend(); ++function) {
    proto::Frame& frame = *thread.add_frames();
    frame.set_function(*function);
    frame.set_module(module);
  }
  for (const char* const below : {"__libc_start_call_main", "__libc_start_main", "_start"})
    thread.add_frames()->set_function(below);
  return stacks;
}

proto::RankStacks WithoutFrames(int rank) {
  proto::RankStacks stacks;
  stacks.set_rank(rank);
  stacks.mutable_process()->add_threads()->set_doing("runs");
  return stacks;
}

TEST(StackGroupsTest, WhoIsElsewhereThanMostIsAnOutlier) {
  const auto groups = GroupStacks({Rank(0, {"main", "Train", "MPI_Allreduce"}),
                                   Rank(1, {"main", "Train", "LoadData", "Decode"}),
                                   Rank(2, {"main", "Train", "MPI_Allreduce"})});

  ASSERT_EQ(groups.size(), 2u);
  EXPECT_THAT(groups[0].ranks(), ElementsAre(0, 2));
  EXPECT_THAT(groups[0].path(), ElementsAre("main", "Train", "MPI_Allreduce"));
  EXPECT_FALSE(groups[0].is_outlier());
  EXPECT_THAT(groups[1].ranks(), ElementsAre(1));
  EXPECT_THAT(groups[1].path(), ElementsAre("main", "Train", "LoadData", "Decode"));
  EXPECT_TRUE(groups[1].is_outlier());
}

TEST(StackGroupsTest, WhatWaitersDoInsideOfTheirLibraryTellsNobodyApart) {
  const auto groups = GroupStacks(
      {Rank(0, {"main", "lockstep::collectives::Group::AllReduce(int)", "Poll", "sched_yield"}),
       Rank(1, {"main", "lockstep::collectives::Group::AllReduce(int)", "Sleep", "futex"}),
       Rank(2, {"main", "lockstep::collectives::Group::AllReduce(int)"})});

  ASSERT_EQ(groups.size(), 1u);
  EXPECT_THAT(groups[0].ranks(), ElementsAre(0, 1, 2));
  EXPECT_THAT(groups[0].path(),
              ElementsAre("main", "lockstep::collectives::Group::AllReduce(int)"));
}

TEST(StackGroupsTest, WhichCallOfLibcAFunctionIsInTellsNobodyApart) {
  proto::RankStacks sleeps = Rank(0, {"main", "Wait"});
  proto::Frame inner;
  inner.set_function("nanosleep");
  inner.set_module("libc.so.6");
  *sleeps.mutable_process()->mutable_threads(0)->add_frames() = inner;
  auto& frames = *sleeps.mutable_process()->mutable_threads(0)->mutable_frames();
  std::rotate(frames.begin(), frames.end() - 1, frames.end());

  const auto groups = GroupStacks({sleeps, Rank(1, {"main", "Wait"})});

  ASSERT_EQ(groups.size(), 1u);
  EXPECT_THAT(groups[0].path(), ElementsAre("main", "Wait"));
}

TEST(StackGroupsTest, OfTwoHalvesNeitherIsTheOutlier) {
  const auto groups = GroupStacks({Rank(0, {"main", "A"}), Rank(1, {"main", "B"}),
                                   Rank(2, {"main", "B"}), Rank(3, {"main", "A"})});

  ASSERT_EQ(groups.size(), 2u);
  EXPECT_THAT(groups[0].ranks(), ElementsAre(0, 3));
  EXPECT_THAT(groups[1].ranks(), ElementsAre(1, 2));
  EXPECT_FALSE(groups[0].is_outlier() || groups[1].is_outlier());
}

TEST(StackGroupsTest, OnesThatDifferEachMakeNoOutlier) {
  const auto groups =
      GroupStacks({Rank(0, {"main", "A"}), Rank(1, {"main", "B"}), Rank(2, {"main", "C"})});

  ASSERT_EQ(groups.size(), 3u);
  for (const proto::StackGroup& group : groups) EXPECT_FALSE(group.is_outlier());
}

TEST(StackGroupsTest, WhoStandsWhereTheOthersGoOnIsToldApart) {
  const auto groups =
      GroupStacks({Rank(0, {"main", "Train"}), Rank(1, {"main", "Train", "MPI_Wait"}),
                   Rank(2, {"main", "Train", "MPI_Wait"})});

  ASSERT_EQ(groups.size(), 2u);
  EXPECT_THAT(groups[1].ranks(), ElementsAre(0));
  EXPECT_THAT(groups[1].path(), ElementsAre("main", "Train"));
  EXPECT_TRUE(groups[1].is_outlier());
}

TEST(StackGroupsTest, WhoseFramesAreUnknownIsComparedWithNobodyAndCounts) {
  const auto groups = GroupStacks(
      {WithoutFrames(0), Rank(1, {"main", "A"}), Rank(2, {"main", "A"}), Rank(3, {"main", "B"})});

  ASSERT_EQ(groups.size(), 3u);
  EXPECT_THAT(groups[2].ranks(), ElementsAre(0));
  EXPECT_THAT(groups[2].path(), IsEmpty());
  EXPECT_FALSE(groups[2].is_outlier());
  EXPECT_FALSE(groups[1].is_outlier()) << "two of four are no majority";
}

TEST(StackGroupsTest, WhereAnInterpreterIsInItselfTellsNobodyApart) {
  proto::RankStacks a = Rank(0, {"Py_BytesMain", "_PyEval_EvalFrameDefault"}, "libpython3.11.so");
  proto::RankStacks b = a;
  b.set_rank(1);
  proto::RankStacks c = a;
  c.set_rank(2);
  // The innermost is the first.
  a.mutable_process()->mutable_threads(0)->mutable_frames(0)->set_function("_PyLong_Add");
  c.mutable_process()->mutable_threads(0)->mutable_frames(0)->set_module("_decode.so");
  c.mutable_process()->mutable_threads(0)->mutable_frames(0)->set_function("Decode");

  const auto groups = GroupStacks({a, b, c});

  ASSERT_EQ(groups.size(), 2u);
  EXPECT_THAT(groups[0].ranks(), ElementsAre(0, 1));
  EXPECT_THAT(groups[0].path(), ElementsAre("Python"));
  EXPECT_THAT(groups[1].path(), ElementsAre("Python", "Decode"));
}

TEST(StackGroupsTest, PythonFramesGoFirst) {
  proto::RankStacks a = Rank(0, {"main", "_PyEval_EvalFrameDefault"}, "python3.11");
  proto::RankStacks b = a;
  b.set_rank(1);
  for (auto* const rank : {&a, &b}) {
    proto::ThreadStack& python = *rank->mutable_process()->add_python();
    python.add_frames()->set_function(rank == &a ? "all_reduce" : "load");
    python.add_frames()->set_function("<module>");
  }

  const auto groups = GroupStacks({a, b});

  ASSERT_EQ(groups.size(), 2u);
  EXPECT_THAT(groups[0].path(), ElementsAre("<module>", "all_reduce"));
  EXPECT_THAT(groups[1].path(), ElementsAre("<module>", "load"));
}

TEST(StackGroupsTest, WithoutSymbolsThePlaceInTheFileCounts) {
  std::vector<proto::RankStacks> ranks;
  for (int rank = 0; rank < 3; ++rank) {
    ranks.push_back(Rank(rank, {"", ""}));
    auto& frames = *ranks.back().mutable_process()->mutable_threads(0)->mutable_frames();
    frames[0].set_offset(rank == 1 ? "0x30" : "0x20");
    frames[0].set_address("0x55" + std::to_string(rank));
    frames[1].set_offset("0x10");
  }

  const auto groups = GroupStacks(ranks);

  ASSERT_EQ(groups.size(), 2u);
  EXPECT_THAT(groups[1].ranks(), ElementsAre(1));
  EXPECT_THAT(groups[1].path(), ElementsAre("train+0x10", "train+0x30"));
}

TEST(StackGroupsTest, NobodyMakesNoGroups) { EXPECT_THAT(GroupStacks({}), IsEmpty()); }

}  // namespace
}  // namespace lockstep::launcher
