// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Sums in 16 bits have the bits of a group in shared memory, whatever ways between members cost.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "collectives/engine/reduce_kernels.h"
#include "collectives/host/tcp/local_tcp.h"
#include "collectives/testing/thread_gang.h"
#include "runtime/base/random.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives {
namespace {

using base::testing::IsOk;

constexpr int kRanks = 4;
constexpr size_t kCount = 700'001;

// Of many magnitudes and both signs: another order of summation gives other bits.
std::vector<uint16_t> UnevenBf16(int rank) {
  base::Random random(static_cast<uint64_t>(rank) + 99);
  std::vector<uint16_t> data(kCount);
  for (uint16_t& value : data) {
    const uint64_t exponent = 127 - 12 + random.Below(24);
    value = static_cast<uint16_t>(random.Below(2) << 15 | exponent << 7 | random.Below(128));
  }
  return data;
}

TEST(TcpBitsTest, SumsOfSixteenBitsAreThoseOfTheKernelInRankOrder) {
  std::vector<std::vector<uint16_t>> inputs;
  std::vector<const std::byte*> sources;
  for (int rank = 0; rank < kRanks; ++rank) inputs.push_back(UnevenBf16(rank));
  for (const auto& input : inputs)
    sources.push_back(reinterpret_cast<const std::byte*>(input.data()));
  std::vector<uint16_t> expected(kCount);
  FindReduceKernel(Dtype::kBf16, Reduction::kSum)(reinterpret_cast<std::byte*>(expected.data()),
                                                  sources.data(), nullptr, kRanks, kCount);

  testing::ThreadGang(kRanks, testing::LocalTcpMaker()).Run([&](Group& group) {
    std::vector<uint16_t> sum(kCount);
    const Buffer out{sum.data(), kCount, Dtype::kBf16};
    const auto rank = static_cast<size_t>(group.rank().value());
    const ConstBuffer in{inputs[rank].data(), kCount, Dtype::kBf16};

    ASSERT_THAT(group.AllReduce(in, out, Reduction::kSum)->Wait(), IsOk());

    EXPECT_TRUE(sum == expected);
  });
}

}  // namespace
}  // namespace lockstep::collectives
