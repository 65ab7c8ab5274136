// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/exec/adopted_ranks.h"

#include <gmock/gmock.h>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::launcher {
namespace {

using base::Code;
using base::Rank;
using base::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

/// Ranks 4 to 7 of 8, on the second of two nodes.
proto::AdoptRequest Request(int local_rank) {
  proto::AdoptRequest request;
  request.set_rank(4 + local_rank);
  request.set_world_size(8);
  request.set_local_rank(local_rank);
  request.set_local_world_size(4);
  request.set_pid(1000 + local_rank);
  request.set_launcher("mpirun (Open MPI)");
  return request;
}

AdoptedRanks With(int count) {
  AdoptedRanks ranks(Request(0));
  for (int i = 0; i < count; ++i) ranks.Add(Request(i));
  return ranks;
}

TEST(AdoptedRanksTest, AJobIsOverWhenAllThatBelongHereHaveComeAndEnded) {
  AdoptedRanks ranks = With(3);
  for (const int rank : {4, 5, 6}) ranks.End(Rank(rank), base::SteadyTime());
  EXPECT_TRUE(ranks.NobodyLives());
  EXPECT_EQ(ranks.AwaitedCount(), 1);
  EXPECT_FALSE(ranks.IsOver());

  EXPECT_OK(ranks.Check(Request(3)));
  ranks.Add(Request(3));
  EXPECT_FALSE(ranks.NobodyLives());
  EXPECT_FALSE(ranks.IsOver());

  ranks.End(Rank(7), base::SteadyTime());
  EXPECT_TRUE(ranks.IsOver());
  EXPECT_EQ(ranks.ranks().at(Rank(7)).pid, 1003);
}

TEST(AdoptedRanksTest, ASecondOneOfARankIsRefusedWithWhatBecameOfTheFirst) {
  AdoptedRanks ranks = With(2);
  EXPECT_THAT(
      ranks.Check(Request(1)),
      StatusIs(Code::kAlreadyExists, AllOf(HasSubstr("rank 5 has come as process 1001, which runs"),
                                           HasSubstr("--job KEY"))));

  ranks.End(Rank(5), base::SteadyTime());
  EXPECT_THAT(ranks.Check(Request(1)),
              StatusIs(Code::kAlreadyExists, HasSubstr("has ended while")));
}

TEST(AdoptedRanksTest, ALocalRankIsOnesAlone) {
  const AdoptedRanks ranks = With(2);
  proto::AdoptRequest request = Request(2);
  request.set_local_rank(1);

  EXPECT_THAT(ranks.Check(request),
              StatusIs(Code::kAlreadyExists,
                       AllOf(HasSubstr("local rank 1 of rank 6"), HasSubstr("process 1001"))));
}

TEST(AdoptedRanksTest, RanksThatDisagreeOnTheirWorldAreRefused) {
  const AdoptedRanks ranks = With(1);
  proto::AdoptRequest larger = Request(1);
  larger.set_world_size(9);
  proto::AdoptRequest wider = Request(1);
  wider.set_local_world_size(5);
  proto::AdoptRequest elsewhere = Request(1);
  elsewhere.set_node_index(1);
  proto::AdoptRequest others = Request(1);
  others.set_launcher("srun");

  EXPECT_THAT(ranks.Check(larger),
              StatusIs(Code::kInvalidArgument,
                       AllOf(HasSubstr("rank 5 was told 9 ranks"), HasSubstr("rank 4"),
                             HasSubstr("8 ranks, 4 of them on this host"))));
  EXPECT_THAT(ranks.Check(wider), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(ranks.Check(elsewhere), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(ranks.Check(others), StatusIs(Code::kInvalidArgument, HasSubstr("by srun")));
}

TEST(AdoptedRanksTest, NumbersThatCannotBeAreRefusedAlsoOfTheFirst) {
  const struct {
    int rank, world_size, local_rank, local_world_size;
  } cases[] = {{-1, 8, 0, 4}, {8, 8, 0, 4}, {0, 8, 4, 4},
               {0, 8, -1, 4}, {0, 0, 0, 0}, {0, 2, 0, 3}};
  for (const auto& numbers : cases) {
    proto::AdoptRequest request;
    request.set_rank(numbers.rank);
    request.set_world_size(numbers.world_size);
    request.set_local_rank(numbers.local_rank);
    request.set_local_world_size(numbers.local_world_size);
    EXPECT_THAT(AdoptedRanks(request).Check(request),
                StatusIs(Code::kInvalidArgument, HasSubstr("there is no rank")))
        << numbers.rank;
  }
}

}  // namespace
}  // namespace lockstep::launcher
