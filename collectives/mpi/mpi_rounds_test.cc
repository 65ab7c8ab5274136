// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// What passes through MPI in rounds, with an MPI that is a loop over members of this test.
#include "collectives/mpi/mpi_rounds.h"

#include <gtest/gtest.h>

#include <climits>
#include <cstring>
#include <deque>
#include <numeric>
#include <vector>

namespace lockstep::collectives {
namespace {

constexpr int kSize = 3;

/// Gives every member of an all_to_all what the others have for it, as MPI would.
void Exchange(std::deque<MpiCall>& calls) {
  for (size_t to = 0; to < calls.size(); ++to) {
    for (size_t from = 0; from < calls.size(); ++from) {
      ASSERT_EQ(calls[from].in_counts[to], calls[to].out_counts[from]);
      std::memcpy(calls[to].out.data() + calls[to].out_offsets[from],
                  calls[from].in.data() + calls[from].in_offsets[to],
                  static_cast<size_t>(calls[from].in_counts[to]));
    }
  }
}

TEST(MpiRoundsTest, AnOpOfMoreThanIntMaxElementsIsManyRoundsOfFew) {
  const Op op{.kind = OpKind::kAllReduce, .reduction = Reduction::kSum, .count = size_t{3} << 31};
  const MpiRounds rounds(op, 0, kSize);
  EXPECT_EQ(rounds.count(), (size_t{3} << 31) / MpiRounds::kRoundBytes);
  EXPECT_LT(rounds.chunk(), size_t{INT_MAX});
}

TEST(MpiRoundsTest, PartsShareTheBytesOfARound) {
  const Op op{.kind = OpKind::kAllGather, .dtype = Dtype::kF64, .count = 1 << 20};
  const MpiRounds rounds(op, 0, 1000);
  EXPECT_EQ(rounds.chunk(), MpiRounds::kRoundBytes / 8 / 1000);
  EXPECT_EQ(rounds.count(), ((size_t{1} << 20) + rounds.chunk() - 1) / rounds.chunk());
}

TEST(MpiRoundsTest, NoElementsAreNoRoundButABarrierIsOne) {
  EXPECT_EQ(
      MpiRounds(Op{.kind = OpKind::kAllReduce, .reduction = Reduction::kSum}, 0, kSize).count(),
      0u);
  EXPECT_EQ(MpiRounds(Op{.kind = OpKind::kBarrier}, 0, kSize).count(), 1u);
}

TEST(MpiRoundsTest, PartsOfDifferentSizesComeThroughRoundByRound) {
  // From a to b: some nothing, some several rounds.
  const auto part = [](size_t from, size_t to) {
    return from == to ? 0 : 150'000 * (1 + from + to);
  };
  std::deque<std::vector<uint32_t>> in(kSize), out(kSize);
  std::deque<Op> ops;
  size_t longest = 0;
  for (size_t member = 0; member < kSize; ++member) {
    Op op{.kind = OpKind::kAllToAllV, .dtype = Dtype::kU32};
    for (size_t other = 0; other < kSize; ++other) {
      op.counts.push_back(part(member, other));
      op.out_counts.push_back(part(other, member));
      longest = std::max(longest, part(member, other));
      for (size_t i = 0; i < part(member, other); ++i)
        in[member].push_back(static_cast<uint32_t>(member * 100 + other * 10 + i * 1000));
    }
    out[member].resize(std::accumulate(op.out_counts.begin(), op.out_counts.end(), size_t{0}));
    op.in = reinterpret_cast<const std::byte*>(in[member].data());
    op.out = reinterpret_cast<std::byte*>(out[member].data());
    ops.push_back(op);
  }

  std::deque<MpiCall> calls(kSize);
  std::deque<MpiRounds> rounds;
  for (int member = 0; member < kSize; ++member)
    rounds.emplace_back(ops[static_cast<size_t>(member)], member, kSize, longest);
  ASSERT_GT(rounds[0].count(), 2u);
  for (size_t round = 0; round < rounds[0].count(); ++round) {
    for (size_t member = 0; member < kSize; ++member) rounds[member].Fill(round, calls[member]);
    Exchange(calls);
    for (size_t member = 0; member < kSize; ++member) rounds[member].Drain(round, calls[member]);
  }

  for (size_t member = 0; member < kSize; ++member) {
    size_t at = 0;
    for (size_t from = 0; from < kSize; ++from) {
      for (size_t i = 0; i < part(from, member); ++i, ++at)
        ASSERT_EQ(out[member][at], from * 100 + member * 10 + i * 1000) << "from " << from;
    }
  }
}

TEST(MpiRoundsTest, APremultipliedInputIsScaledOnItsWayInAndAnAverageDividedOnItsWayOut) {
  const std::vector<double> in = {1, 2, 7};
  std::vector<double> out(3);
  Op op{.kind = OpKind::kAllReduce,
        .dtype = Dtype::kF64,
        .reduction = Reduction::kPremultipliedSum,
        .in = reinterpret_cast<const std::byte*>(in.data()),
        .out = reinterpret_cast<std::byte*>(out.data()),
        .count = 3,
        .scale = 2.5};
  MpiCall call;
  MpiRounds(op, 0, kSize).Fill(0, call);
  EXPECT_EQ(call.reduction, Reduction::kSum);
  EXPECT_EQ(*reinterpret_cast<const double*>(call.out.data() + 16), 17.5);

  op.reduction = Reduction::kAverage;
  MpiRounds(op, 0, kSize).Fill(0, call);
  MpiRounds(op, 0, kSize).Drain(0, call);
  EXPECT_EQ(out, (std::vector<double>{1.0 / 3, 2.0 / 3, 7.0 / 3}));
}

}  // namespace
}  // namespace lockstep::collectives
