// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/bench/ranks/known_values.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

#include "collectives/engine/reduce_kernels.h"
#include "collectives/testing/float8.h"
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

// The host's kernels have no numbers of 8 bits: combined as what they mean.
TEST(KnownValuesTest, AreExactInNumbersOfEightBits) {
  using collectives::testing::LoadFloat8;
  for (const Dtype dtype : {Dtype::kF8E4m3, Dtype::kF8E5m2}) {
    for (const Reduction reduction :
         {Reduction::kSum, Reduction::kProduct, Reduction::kMin, Reduction::kMax}) {
      for (const int size : {2, 3, 64}) {
        lockstep_bench_call call = CallOf(LOCKSTEP_BENCH_ALL_REDUCE, static_cast<uint32_t>(dtype),
                                          static_cast<uint32_t>(reduction));
        std::vector<double> values;
        double greatest = 0;
        for (int rank = 0; rank < size; ++rank) {
          const Bytes input = InputOf(call, rank, size);
          if (rank == 0)
            values.assign(kCount,
                          reduction == Reduction::kMin ? 1e9 : reduction == Reduction::kProduct);
          for (size_t i = 0; i < kCount; ++i) {
            const double next = LoadFloat8(dtype, static_cast<uint8_t>(input[i]));
            double& value = values[i];
            if (reduction == Reduction::kSum) value += next;
            if (reduction == Reduction::kProduct) value *= next;
            if (reduction == Reduction::kMin) value = std::min(value, next);
            if (reduction == Reduction::kMax) value = std::max(value, next);
            greatest = std::max(greatest, next);
          }
        }
        Bytes out;
        for (const double value : values) {
          out.push_back(static_cast<std::byte>(collectives::testing::StoreFloat8(dtype, value)));
          ASSERT_EQ(LoadFloat8(dtype, static_cast<uint8_t>(out.back())), value) << "not exact";
        }
        call.out = out.data();

        EXPECT_GT(greatest, 0);
        EXPECT_EQ(lockstep_bench_count_wrong(&call, 0, size), 0u)
            << DtypeName(dtype) << " " << ReductionName(reduction) << " of " << size;
        out[kCount / 2] ^= std::byte{1};
        EXPECT_EQ(lockstep_bench_count_wrong(&call, 0, size), 1u);
      }
    }
  }
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

/// The inputs of all ranks, and where each piece of them must arrive: what an op is, said once
/// more.
class MovedBy {
 public:
  MovedBy(uint32_t op, int size) : call_(CallOf(op, LOCKSTEP_BENCH_I32, 0)), size_(size) {
    call_.root = 1;
    for (int rank = 0; rank < size; ++rank) inputs_.push_back(InputOf(call_, rank, size));
  }
  lockstep_bench_call& call() { return call_; }
  uint64_t part(int index) const { return lockstep_bench_part_of(&call_, index % size_, size_); }
  void Append(int from, uint64_t offset, uint64_t count) {
    const Bytes& input = inputs_[static_cast<size_t>(from)];
    ASSERT_LE((offset + count) * 4, input.size());
    const auto begin = input.begin() + static_cast<ptrdiff_t>(offset * 4);
    out_.insert(out_.end(), begin, begin + static_cast<ptrdiff_t>(count * 4));
  }
  void ExpectRightOn(int rank) {
    call_.out = out_.data();
    ASSERT_EQ(out_.size(), lockstep_bench_out_count(&call_, rank, size_) * 4);
    EXPECT_EQ(lockstep_bench_count_wrong(&call_, rank, size_), 0u) << call_.op << " on " << rank;
    if (!out_.empty()) {
      out_.back() ^= std::byte{1};
      EXPECT_EQ(lockstep_bench_count_wrong(&call_, rank, size_), 1u) << call_.op << " on " << rank;
    }
    out_.clear();
  }

 private:
  lockstep_bench_call call_;
  const int size_;
  std::vector<Bytes> inputs_;
  Bytes out_;
};

TEST(KnownValuesTest, UnevenPartsAreAsLongAsEvenOnes) {
  const lockstep_bench_call call = CallOf(LOCKSTEP_BENCH_ALL_GATHER_V, LOCKSTEP_BENCH_U8, 0);
  for (const int size : {1, 2, 3, 64})
    EXPECT_EQ(lockstep_bench_parts_before(&call, size, size), kCount * static_cast<size_t>(size));
  EXPECT_EQ(lockstep_bench_part_of(&call, 0, 3), 500u);
  EXPECT_EQ(lockstep_bench_part_of(&call, 1, 3), 1500u);
  EXPECT_EQ(lockstep_bench_part_of(&call, 2, 3), 1000u);
}

TEST(KnownValuesTest, GatherAndScatterPassTheRoot) {
  for (const int size : {2, 3}) {
    MovedBy gather(LOCKSTEP_BENCH_GATHER, size), scatter(LOCKSTEP_BENCH_SCATTER, size);
    gather.ExpectRightOn(0);
    for (int from = 0; from < size; ++from) gather.Append(from, 0, kCount);
    gather.ExpectRightOn(1);
    for (int rank = 0; rank < size; ++rank) {
      scatter.Append(1, static_cast<uint64_t>(rank) * kCount, kCount);
      scatter.ExpectRightOn(rank);
    }
  }
}

TEST(KnownValuesTest, UnevenPartsAndBatchesArriveWhereTheyBelong) {
  for (const int size : {2, 3, 5}) {
    MovedBy gather(LOCKSTEP_BENCH_ALL_GATHER_V, size), exchange(LOCKSTEP_BENCH_ALL_TO_ALL_V, size);
    MovedBy batch(LOCKSTEP_BENCH_BATCH, size);
    for (int rank = 0; rank < size; ++rank) {
      for (int from = 0; from < size; ++from) {
        gather.Append(from, 0, gather.part(from));
        uint64_t offset = 0;
        for (int to = 0; to < rank; ++to) offset += exchange.part(from + to);
        exchange.Append(from, offset, exchange.part(from + rank));
      }
      gather.ExpectRightOn(rank);
      exchange.ExpectRightOn(rank);
      batch.Append((rank + size - 1) % size, 0, kCount);
      batch.ExpectRightOn(rank);
    }
  }
}

TEST(KnownValuesTest, PartsOfAnUnevenReduceScatterAreThoseOfTheWholeReduction) {
  constexpr int kSize = 3;
  lockstep_bench_call whole =
      CallOf(LOCKSTEP_BENCH_ALL_REDUCE, LOCKSTEP_BENCH_I32, LOCKSTEP_BENCH_SUM);
  whole.count = kCount * kSize;
  std::vector<Bytes> inputs;
  std::vector<const std::byte*> pointers;
  for (int rank = 0; rank < kSize; ++rank) inputs.push_back(InputOf(whole, rank, kSize));
  for (const Bytes& input : inputs) pointers.push_back(input.data());
  Bytes sum(inputs[0].size());
  const std::vector<double> scales(kSize, 1);
  FindReduceKernel(Dtype::kI32, Reduction::kSum)(sum.data(), pointers.data(), scales.data(), kSize,
                                                 whole.count);

  lockstep_bench_call call = whole;
  call.op = LOCKSTEP_BENCH_REDUCE_SCATTER_V;
  call.count = kCount;
  for (int rank = 0; rank < kSize; ++rank) {
    call.out = sum.data() + lockstep_bench_parts_before(&call, rank, kSize) * 4;
    EXPECT_EQ(lockstep_bench_count_wrong(&call, rank, kSize), 0u) << rank;
    EXPECT_GT(lockstep_bench_count_wrong(&call, (rank + 1) % kSize, kSize), 0u) << rank;
  }
}

TEST(KnownValuesTest, RanksDiffer) {
  const lockstep_bench_call call = CallOf(LOCKSTEP_BENCH_ALL_GATHER, LOCKSTEP_BENCH_U8, 0);

  EXPECT_NE(InputOf(call, 0, 2), InputOf(call, 1, 2));
}

// They once were the same on all ranks, so that an average that was the rank's own input was right.
TEST(KnownValuesTest, NoInputIsTheResultOfAReduction) {
  for (uint32_t reduction = 1; reduction < collectives::kReductionLimit; ++reduction) {
    for (const int size : {2, 3, 64}) {
      lockstep_bench_call call = CallOf(LOCKSTEP_BENCH_ALL_REDUCE, LOCKSTEP_BENCH_I32, reduction);
      for (int rank = 0; rank < std::min(size, 2); ++rank) {
        Bytes input = InputOf(call, rank, size);
        call.out = input.data();
        EXPECT_GT(lockstep_bench_count_wrong(&call, rank, size), kCount / 20)
            << "reduction " << reduction << ", rank " << rank << " of " << size;
      }
    }
  }
}

TEST(KnownValuesTest, WordsOfOnesAreOnes) {
  const uint64_t word = lockstep_bench_word_of_ones(LOCKSTEP_BENCH_F32);
  float ones[2];
  std::memcpy(ones, &word, sizeof ones);

  EXPECT_EQ(ones[0], 1);
  EXPECT_EQ(ones[1], 1);
  EXPECT_EQ(lockstep_bench_word_of_ones(LOCKSTEP_BENCH_F16), 0x3c003c003c003c00u);
  EXPECT_EQ(lockstep_bench_word_of_ones(LOCKSTEP_BENCH_BF16), 0x3f803f803f803f80u);
  EXPECT_EQ(lockstep_bench_word_of_ones(LOCKSTEP_BENCH_F8E4M3), 0x3838383838383838u);
  EXPECT_EQ(lockstep_bench_word_of_ones(LOCKSTEP_BENCH_F8E5M2), 0x3c3c3c3c3c3c3c3cu);
  EXPECT_EQ(lockstep_bench_word_of_ones(LOCKSTEP_BENCH_BOOL), 0x0101010101010101u);
}

}  // namespace
}  // namespace lockstep::launcher
