// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// The same inputs give the same bits on all ranks, in all runs, and whichever way the data takes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "collectives/testing/thread_gang.h"
#include "runtime/base/random.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives {
namespace {

using base::testing::IsOk;
using ::testing::HasSubstr;
using testing::ThreadGang;

constexpr int kRanks = 3;
constexpr size_t kCount = 200'001;  // 781 KiB
constexpr int kTimes = 40;
constexpr size_t kSmall = 2000;  // what the small way takes at once

// Of many magnitudes: another order of summation gives other bits.
std::vector<float> UnevenFloats(int rank) {
  base::Random random(static_cast<uint64_t>(rank) + 99);
  std::vector<float> data(kCount);
  for (float& value : data) {
    value = static_cast<float>(
        std::ldexp(random.Unit() - 0.5, static_cast<int>(random.Below(40)) - 20));
  }
  return data;
}

/// What the ranks got, of all runs.
class Seen {
 public:
  void Add(const std::vector<float>& sum) {
    std::string bits(sum.size() * sizeof(float), 0);
    std::memcpy(bits.data(), sum.data(), bits.size());
    const std::lock_guard<std::mutex> lock(mutex_);
    ++count_;
    different_.insert(std::move(bits));
  }
  size_t count() const { return count_; }
  size_t different() const { return different_.size(); }

 private:
  std::mutex mutex_;
  size_t count_ = 0;
  std::set<std::string> different_;
};

/// In one op, of malloc's memory; so often that all ways of moving it are tried.
void SumInEveryWay(Group& group, Seen& seen) {
  EXPECT_THAT(group.Explain(OpKind::kAllReduce, Dtype::kF32, kCount), HasSubstr("staged"));
  const std::vector<float> in = UnevenFloats(group.rank().value());
  std::vector<float> out(kCount);
  for (int time = 0; time < kTimes; ++time) {
    std::fill(out.begin(), out.end(), 0.0f);
    ASSERT_THAT(group.AllReduce({in.data(), kCount}, {out.data(), kCount}, Reduction::kSum)->Wait(),
                IsOk());
    seen.Add(out);
  }
}

void SumInSmallPieces(Group& group, Seen& seen) {
  EXPECT_THAT(group.Explain(OpKind::kAllReduce, Dtype::kF32, kSmall), HasSubstr("small"));
  std::vector<float> data = UnevenFloats(group.rank().value());
  for (size_t at = 0; at < kCount; at += kSmall) {
    const Buffer piece{data.data() + at, std::min(kSmall, kCount - at)};
    ASSERT_THAT(group.AllReduce(piece, piece, Reduction::kSum)->Wait(), IsOk());
  }
  seen.Add(data);
}

void SumInSharedBuffers(Group& group, Seen& seen) {
  ASSERT_OK_AND_ASSIGN(const auto buffer, group.AllocBuffer(kCount * sizeof(float)));
  const std::vector<float> in = UnevenFloats(group.rank().value());
  std::memcpy(buffer->data(), in.data(), kCount * sizeof(float));
  const Buffer data{buffer->data(), kCount};
  ASSERT_THAT(group.AllReduce(data, data, Reduction::kSum)->Wait(), IsOk());
  std::vector<float> out(kCount);
  std::memcpy(out.data(), buffer->data(), kCount * sizeof(float));
  seen.Add(out);
}

TEST(ShmBitsTest, SumsHaveTheSameBitsOnAllRanksInAllRunsAndByEveryWay) {
  Seen seen;
  for (int run = 0; run < 3; ++run) {
    ThreadGang(kRanks).Run([&seen](Group& group) {
      SumInSmallPieces(group, seen);
      SumInSharedBuffers(group, seen);
      SumInEveryWay(group, seen);
      EXPECT_TRUE(group.capabilities().bitwise_reproducible);
    });
  }
  EXPECT_EQ(seen.count(), size_t{3} * (2 + kTimes) * kRanks);
  EXPECT_EQ(seen.different(), 1u);
}

}  // namespace
}  // namespace lockstep::collectives
