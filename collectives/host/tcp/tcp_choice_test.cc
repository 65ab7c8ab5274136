// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/tcp_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lockstep::collectives {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

const TcpLink kLink = TcpLink::Measured(16, 1024);

TcpWay Best(OpKind kind, size_t bytes, int size) {
  return EstimatesOf(kind, bytes, size, kLink).front().way;
}

TEST(TcpChoiceTest, ManyHopsAreWorthMoreThanBytesInSmallOpsOnly) {
  // 2 * 7 hops of 16 us against 2 * 3: 128 us, for which a quarter of 1.75 * 299,593 bytes pass.
  EXPECT_EQ(Best(OpKind::kAllReduce, 290'000, 8), TcpWay::kHalving);
  EXPECT_EQ(Best(OpKind::kAllReduce, 310'000, 8), TcpWay::kRing);
}

TEST(TcpChoiceTest, ARingIsLeftWhereMembersAreNoPowerOfTwo) {
  EXPECT_EQ(EstimatesOf(OpKind::kAllReduce, 1000, 6, kLink).size(), 1u);
  EXPECT_EQ(Best(OpKind::kAllReduce, 1000, 6), TcpWay::kRing);
  EXPECT_EQ(Best(OpKind::kAllReduce, 1000, 2), TcpWay::kRing);
}

TEST(TcpChoiceTest, ABroadcastTakesTheTreeOfFewestHopsThenTwoThenTheChain) {
  EXPECT_EQ(Best(OpKind::kBroadcast, 1000, 16), TcpWay::kBinomialTree);
  EXPECT_EQ(Best(OpKind::kBroadcast, 100'000, 16), TcpWay::kTwoWayTree);
  EXPECT_EQ(Best(OpKind::kBroadcast, 10'000'000, 16), TcpWay::kChain);
}

TEST(TcpChoiceTest, OtherKindsHaveNoChoice) {
  EXPECT_THAT(EstimatesOf(OpKind::kAllGather, 1000, 4, kLink), IsEmpty());
  EXPECT_THAT(EstimatesOf(OpKind::kBroadcast, 1000, 1, kLink), IsEmpty());
}

TEST(TcpChoiceTest, DirectIsTwoHopsOrOneWhateverTheSize) {
  const auto us = [](OpKind kind, int size) {
    return EstimateOfDirect(kind, 1 << 20, size, kLink).us;
  };

  EXPECT_EQ(us(OpKind::kAllReduce, 4), 2 * 16 + 1.5 * 1024);
  EXPECT_EQ(us(OpKind::kReduce, 4), 2 * 16 + 1024);
  EXPECT_EQ(us(OpKind::kReduce, 2), 16 + 1024);
  EXPECT_EQ(us(OpKind::kReduceScatter, 4), 16 + 3 * 1024);  // parts of 1 MiB
}

TEST(TcpChoiceTest, DirectIsForAsManyConnectionsAsAMemberMayHave) {
  EXPECT_TRUE(MayGoDirect(kDirectConnectionsMax + 1, {}));
  EXPECT_FALSE(MayGoDirect(kDirectConnectionsMax + 2, {}));
  EXPECT_TRUE(MayGoDirect(5, {.flows = 16}));
  EXPECT_FALSE(MayGoDirect(6, {.flows = 16}));
}

TEST(TcpChoiceTest, TheExplanationHasTheFigures) {
  const auto estimates = EstimatesOf(OpKind::kAllReduce, 1 << 20, 4, kLink);

  EXPECT_THAT(ExplainEstimates(estimates, kLink),
              HasSubstr("with 16 us and 1.02 GB/s: ring 1632 us, halving and doubling 1984 us"));
}

}  // namespace
}  // namespace lockstep::collectives
