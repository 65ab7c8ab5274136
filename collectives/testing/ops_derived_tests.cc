// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Of the contract of each op (ops_contract.h): groups made of groups.
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <vector>

#include "collectives/group.h"
#include "collectives/testing/ops_contract.h"
#include "collectives/testing/ops_data.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives::testing {
namespace {

using base::Code;
using base::GroupRank;
using base::Rank;
using base::testing::StatusIs;
using std::chrono::seconds;

TEST_P(OpsContractTest, SplitMakesAGroupForEachColor) {
  Run([](Group& group) {
    if (Lacks(group, OpKind::kSplit)) return;
    const int rank = group.rank().value();
    // The last one stays out; keys turn the order around.
    const bool out = group.size() > 1 && rank == group.size() - 1;
    ASSERT_OK_AND_ASSIGN(const auto half, group.Split(out ? kNoColor : rank % 2, -rank));
    ASSERT_EQ(half == nullptr, out);
    if (half != nullptr) {
      std::vector<Rank> members;
      for (int r = group.size() - 1; r >= 0; --r) {
        if (r % 2 == rank % 2 && (group.size() == 1 || r != group.size() - 1))
          members.push_back(group.info().world_ranks[static_cast<size_t>(r)]);
      }
      EXPECT_EQ(half->info().world_ranks, members);
      Cell<int64_t> sum(Dtype::kI64, rank);
      ASSERT_OK(half->AllReduce(sum.buffer(), sum.buffer(), Reduction::kSum)->Wait());
      int64_t expected = 0;
      for (const Rank member : members) expected += member.value();
      EXPECT_EQ(sum.value(), expected);
    }
    ASSERT_OK(group.Barrier()->Wait());  // before any of them leaves its half
  });
}

// The last one knows nothing of the others' group until it joins them.
TEST_P(OpsContractTest, APartOfAGroupIsMadeByItsMembersAloneAndGrows) {
  Run([](Group& group) {
    if (Lacks(group, OpKind::kGrow) || group.size() < 2) return;
    const int rank = group.rank().value();
    std::vector<GroupRank> members;  // from the last but one down to the first, and then the last
    for (int r = group.size() - 2; r >= 0; --r) members.emplace_back(r);
    const auto world_rank = [&](GroupRank r) {
      return group.info().world_ranks[static_cast<size_t>(r.value())];
    };
    const auto sum_of = [](Group& of) {
      Cell<int64_t> one(Dtype::kI64, 1);
      EXPECT_OK(of.AllReduce(one.buffer(), one.buffer(), Reduction::kSum)->Wait());
      return one.value();
    };
    const GroupRank last(group.size() - 1);
    std::shared_ptr<Group> part;
    if (rank < last.value()) {
      ASSERT_OK_AND_ASSIGN(part, group.Subset(members));
      EXPECT_EQ(part->rank().value(), last.value() - 1 - rank);
      EXPECT_EQ(sum_of(*part), last.value());
    }
    members.push_back(last);
    const Rank added = world_rank(last);
    ASSERT_OK_AND_ASSIGN(const auto grown,
                         rank < last.value() ? part->Grow({&added, 1}) : group.Subset(members));
    EXPECT_EQ(grown->info().world_ranks.back(), added);
    EXPECT_EQ(sum_of(*grown), group.size());
    // The same once more is another group.
    ASSERT_OK_AND_ASSIGN(const auto again, group.Subset(members));
    EXPECT_NE(again->info().id, grown->info().id);
    EXPECT_EQ(sum_of(*again), group.size());
    EXPECT_EQ(sum_of(group), group.size());
    ASSERT_OK(group.Barrier()->Wait());  // before any of them leaves
  });
}

TEST_P(OpsContractTest, ADuplicateHasAnOrderOfItsOwn) {
  Run([](Group& group) {
    if (Lacks(group, OpKind::kSplit)) return;
    ASSERT_OK_AND_ASSIGN(const auto other, group.Duplicate());
    EXPECT_EQ(other->info().world_ranks, group.info().world_ranks);
    Cell<float> a(Dtype::kF32, 1), b(Dtype::kF32, 2);
    const auto on = [](Group& g, Cell<float>& x) {
      return g.AllReduce(x.buffer(), x.buffer(), Reduction::kSum);
    };
    // In another order on every second member.
    const bool first = group.rank().value() % 2 == 0;
    const auto one = first ? on(group, a) : on(*other, b);
    const auto two = first ? on(*other, b) : on(group, a);
    ASSERT_OK(one->Wait());
    ASSERT_OK(two->Wait());
    EXPECT_EQ(a.value(), static_cast<float>(group.size()));
    EXPECT_EQ(b.value(), static_cast<float>(2 * group.size()));
    ASSERT_OK(group.Barrier()->Wait());  // an abort may end what is in flight on others
    other->Abort(base::AbortedError("enough"));
    ASSERT_OK(group.Barrier()->Wait());
  });
}

TEST_P(OpsContractTest, ASubsetIsMadeByItsMembersAloneInTheirOrder) {
  Run([](Group& group) {
    if (Lacks(group, OpKind::kGrow) || group.size() < 3) return;
    const GroupRank chosen[] = {GroupRank(2), GroupRank(0)};
    if (group.rank() == GroupRank(0) || group.rank() == GroupRank(2)) {
      ASSERT_OK_AND_ASSIGN(const auto subset, group.Subset(chosen, {.timeout = seconds(30)}));
      EXPECT_EQ(subset->info().world_ranks,
                (std::vector<Rank>{group.info().world_ranks[2], group.info().world_ranks[0]}));
      Cell<float> one(Dtype::kF32, 1);
      ASSERT_OK(subset->AllReduce(one.buffer(), one.buffer(), Reduction::kSum)->Wait());
      EXPECT_EQ(one.value(), 2.0f);
    } else {
      EXPECT_THAT(group.Subset(chosen).status(), StatusIs(base::Code::kInvalidArgument));
    }
    const GroupRank twice[] = {group.rank(), group.rank()}, beyond[] = {GroupRank(group.size())};
    EXPECT_THAT(group.Subset(twice).status(), StatusIs(base::Code::kInvalidArgument));
    EXPECT_THAT(group.Subset(beyond).status(), StatusIs(base::Code::kInvalidArgument));
    ASSERT_OK(group.Barrier()->Wait());  // all are members of this one as before
  });
}

TEST_P(OpsContractTest, APoisonedGroupShrinksToThoseThatAreLeft) {
  Run([](Group& group) {
    if (Lacks(group, OpKind::kShrink) || group.size() < 3) return;
    const GroupRank gone(1);
    if (group.rank() == gone) {
      // It never calls again; the others find out and go on without it.
      EXPECT_FALSE(group.Barrier({.timeout = seconds(30)})->Wait().ok());
      return;
    }
    if (group.rank() == GroupRank(0)) group.Abort(base::AbortedError("rank 1 is of no use"));
    EXPECT_FALSE(group.Barrier({.timeout = seconds(30)})->Wait().ok());
    ASSERT_OK_AND_ASSIGN(const auto rest, group.Shrink({&gone, 1}, {.timeout = seconds(30)}));
    EXPECT_EQ(rest->size(), group.size() - 1);
    Cell<float> one(Dtype::kF32, 1);
    ASSERT_OK(rest->AllReduce(one.buffer(), one.buffer(), Reduction::kSum)->Wait());
    EXPECT_EQ(one.value(), static_cast<float>(rest->size()));
    ASSERT_OK(rest->Barrier()->Wait());
  });
}

}  // namespace
}  // namespace lockstep::collectives::testing
