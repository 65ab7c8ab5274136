// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/bench/ranks/known_values.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

#include "collectives/engine/reduce_kernels.h"
#include "launcher/bench/bench_wire.h"

namespace lockstep::launcher {
namespace {

using collectives::Dtype;
using collectives::Reduction;
using Bytes = std::vector<std::byte>;

constexpr uint64_t kCount = 1000;

lockstep_bench_call CallOf(uint32_t op, uint32_t dtype, uint32_t reduction) {
  return {.op = op, .dtype = dtype, .reduction = reduction, .count = kCount};
}

Bytes InputOf(lockstep_bench_call call, int rank, int size) {
  Bytes input(lockstep_bench_in_count(&call, rank, size) * lockstep_bench_dtype_bytes(call.dtype));
  call.in = input.data();
  lockstep_bench_fill(&call, rank, size);
  return input;
}

// Every dtype and reduction that the host's kernels know, by those kernels.
TEST(KnownValuesTest, AreExactInEveryDtypeAndReduction) {
  int pairs = 0;
  for (uint32_t dtype = 1; dtype < collectives::kDtypeLimit; ++dtype) {
    for (uint32_t reduction = 1; reduction < collectives::kReductionLimit; ++reduction) {
      const collectives::ReduceKernel kernel =
          FindReduceKernel(static_cast<Dtype>(dtype), static_cast<Reduction>(reduction));
      if (kernel == nullptr) continue;
      for (const int size : {2, 3, 64}) {
        lockstep_bench_call call = CallOf(LOCKSTEP_BENCH_ALL_REDUCE, dtype, reduction);
        std::vector<Bytes> inputs;
        std::vector<const std::byte*> pointers;
        for (int rank = 0; rank < size; ++rank) inputs.push_back(InputOf(call, rank, size));
        for (const Bytes& input : inputs) pointers.push_back(input.data());
        const std::vector<double> scales(static_cast<size_t>(size), LOCKSTEP_BENCH_PREMUL_SCALE);
        Bytes out(inputs[0].size());
        kernel(out.data(), pointers.data(), scales.data(), size, kCount);
        call.out = out.data();

        EXPECT_EQ(lockstep_bench_count_wrong(&call, 0, size), 0u)
            << "dtype " << dtype << " reduction " << reduction << " of " << size;
        out[out.size() / 2] ^= std::byte{1};
        EXPECT_EQ(lockstep_bench_count_wrong(&call, 0, size), 1u)
            << "dtype " << dtype << " reduction " << reduction << " of " << size;
      }
      ++pairs;
    }
  }
  EXPECT_GT(pairs, 70);
}

TEST(KnownValuesTest, AllToAllMovesEachPartToItsRank) {
  constexpr int kSize = 3;
  lockstep_bench_call call = CallOf(LOCKSTEP_BENCH_ALL_TO_ALL, LOCKSTEP_BENCH_F16, 0);
  const size_t part = kCount * 2;
  Bytes out(part * kSize);
  for (size_t from = 0; from < kSize; ++from) {
    const Bytes input = InputOf(call, static_cast<int>(from), kSize);
    std::memcpy(out.data() + from * part, input.data() + 1 * part, part);
  }
  call.out = out.data();

  EXPECT_EQ(lockstep_bench_count_wrong(&call, 1, kSize), 0u);
  EXPECT_GT(lockstep_bench_count_wrong(&call, 2, kSize), kCount * 2);
}

TEST(KnownValuesTest, RanksDiffer) {
  const lockstep_bench_call call = CallOf(LOCKSTEP_BENCH_ALL_GATHER, LOCKSTEP_BENCH_U8, 0);

  EXPECT_NE(InputOf(call, 0, 2), InputOf(call, 1, 2));
}

TEST(KnownValuesTest, WordsOfOnesAreOnes) {
  const uint64_t word = lockstep_bench_word_of_ones(LOCKSTEP_BENCH_F32);
  float ones[2];
  std::memcpy(ones, &word, sizeof ones);

  EXPECT_EQ(ones[0], 1);
  EXPECT_EQ(ones[1], 1);
  EXPECT_EQ(lockstep_bench_word_of_ones(LOCKSTEP_BENCH_F16), 0x3c003c003c003c00u);
  EXPECT_EQ(lockstep_bench_word_of_ones(LOCKSTEP_BENCH_BF16), 0x3f803f803f803f80u);
  EXPECT_EQ(lockstep_bench_word_of_ones(LOCKSTEP_BENCH_BOOL), 0x0101010101010101u);
}

}  // namespace
}  // namespace lockstep::launcher
