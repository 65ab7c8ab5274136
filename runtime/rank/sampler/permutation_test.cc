// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/rank/sampler/permutation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <vector>

namespace lockstep::rank {
namespace {

using ::testing::ElementsAre;

std::vector<int64_t> All(int64_t size, uint64_t seed, uint64_t stream) {
  const Permutation permutation(size, seed, stream);
  std::vector<int64_t> all;
  for (int64_t i = 0; i < size; ++i) all.push_back(permutation.at(i));
  return all;
}

TEST(PermutationTest, EveryElementComesExactlyOnce) {
  for (const int64_t size : {1, 2, 3, 4, 5, 7, 8, 9, 100, 255, 256, 257, 60'000}) {
    std::vector<int> seen(static_cast<size_t>(size));
    for (const int64_t element : All(size, 1, 2)) ++seen[static_cast<size_t>(element)];
    EXPECT_EQ(seen, std::vector<int>(static_cast<size_t>(size), 1)) << size;
  }
}

// Checkpoints count on this order: if it changes, the format of the sampler's state must too.
TEST(PermutationTest, OrderNeverChanges) {
  EXPECT_THAT(All(10, 1, 0), ElementsAre(9, 8, 0, 6, 7, 3, 4, 2, 5, 1));
  EXPECT_THAT(All(10, 1, 1), ElementsAre(8, 4, 6, 1, 7, 3, 5, 0, 2, 9));
  EXPECT_EQ(Permutation(1'000'000'000'000, 7, 3).at(123'456'789), 236'192'124'046);
}

// Position of each of 12 elements over 24,000 seeds: chi-square of the 12 x 12 table with 121
// degrees of freedom exceeds 200 with probability 1e-5 if all orders are alike.
TEST(PermutationTest, EveryElementComesAtEveryPlaceEquallyOften) {
  constexpr int kSize = 12;
  constexpr int kSeeds = 24'000;
  int counts[kSize][kSize] = {};
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    const Permutation permutation(kSize, seed, 0);
    for (int64_t i = 0; i < kSize; ++i) ++counts[i][permutation.at(i)];
  }
  double chi_square = 0;
  for (const auto& row : counts) {
    for (const int count : row) {
      const double difference = count - double{kSeeds} / kSize;
      chi_square += difference * difference / (double{kSeeds} / kSize);
    }
  }
  EXPECT_LT(chi_square, 200);
}

TEST(PermutationTest, NeighboursAreNotKeptTogether) {
  const std::vector<int64_t> all = All(60'000, 5, 0);
  int close = 0;
  for (size_t i = 1; i < all.size(); ++i) close += std::abs(all[i] - all[i - 1]) < 100;
  // Expected 2 * 99 / 60,000 * 60,000 = 198, with a standard deviation of 14.
  EXPECT_GT(close, 120);
  EXPECT_LT(close, 280);
}

TEST(PermutationTest, SeedsAndStreamsGiveOtherOrders) {
  EXPECT_NE(All(100, 1, 0), All(100, 2, 0));
  EXPECT_NE(All(100, 1, 0), All(100, 1, 1));
  EXPECT_NE(All(100, 1, 2), All(100, 2, 1));
}

TEST(PermutationTest, LargestSizesAreReached) {
  const Permutation permutation(INT64_MAX, 3, 0);
  const int64_t element = permutation.at(INT64_MAX - 1);
  EXPECT_GE(element, 0);
  EXPECT_LT(element, INT64_MAX);
}

}  // namespace
}  // namespace lockstep::rank
