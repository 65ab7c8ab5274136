// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// The same inputs give the same bits on all ranks, in all runs, and whichever way the data takes.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/syscall.h>

#include <cerrno>
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
#include "runtime/base/testing/refused_call.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives {
namespace {

using base::testing::IsOk;
using base::testing::RefuseCall;
using ::testing::HasSubstr;
using testing::ThreadGang;

constexpr int kRanks = 3;
constexpr size_t kCount = 200'001;  // 781 KiB: staged or fetched
constexpr size_t kSmall = 2000;     // what the small way takes at once

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

/// In one op, of malloc's memory.
void SumAtOnce(Group& group, Seen& seen, const std::string& way) {
  EXPECT_THAT(group.Explain(OpKind::kAllReduce, Dtype::kF32, kCount), HasSubstr(way));
  const std::vector<float> in = UnevenFloats(group.rank().value());
  std::vector<float> out(kCount);
  ASSERT_THAT(group.AllReduce({in.data(), kCount}, {out.data(), kCount}, Reduction::kSum)->Wait(),
              IsOk());
  seen.Add(out);
  ASSERT_THAT(group.Barrier()->Wait(), IsOk());
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

/// This thread, and what it starts, on one processor.
class OneProcessor {
 public:
  OneProcessor() {
    ::sched_getaffinity(0, sizeof all_, &all_);
    cpu_set_t one;
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++cpu) {
      if (CPU_ISSET(cpu, &all_)) CPU_SET(cpu, &one);
    }
    ::sched_setaffinity(0, sizeof one, &one);
  }
  ~OneProcessor() { ::sched_setaffinity(0, sizeof all_, &all_); }

 private:
  cpu_set_t all_;
};

/// In groups whose members may not read each other's memory, so that data is staged however many
/// processors there are.
void SumStaged(int ranks, Seen& seen) {
  std::thread([ranks, &seen] {
    ASSERT_TRUE(RefuseCall(SYS_process_vm_readv, EPERM)) << "no filters here";
    ThreadGang(ranks).Run([&seen](Group& group) { SumAtOnce(group, seen, "staged"); });
  }).join();
}

void SumFetched(int ranks, Seen& seen) {
  const OneProcessor one;
  ThreadGang(ranks).Run([&seen](Group& group) { SumAtOnce(group, seen, "process_vm_readv"); });
}

TEST(ShmBitsTest, SumsHaveTheSameBitsOnAllRanksInAllRunsAndByEveryWay) {
  Seen seen;
  for (int run = 0; run < 3; ++run) {
    ThreadGang(kRanks).Run([&seen](Group& group) {
      SumInSmallPieces(group, seen);
      SumInSharedBuffers(group, seen);
      EXPECT_TRUE(group.capabilities().bitwise_reproducible);
    });
    SumStaged(kRanks, seen);
    SumFetched(kRanks, seen);
  }
  EXPECT_EQ(seen.count(), size_t{3} * 4 * kRanks);
  EXPECT_EQ(seen.different(), 1u);
}

TEST(ShmBitsTest, StagedAndFetchedSumsOfTwoRanksAreTheSame) {
  Seen seen;
  SumStaged(2, seen);
  SumFetched(2, seen);
  EXPECT_EQ(seen.count(), 4u);
  EXPECT_EQ(seen.different(), 1u);
}

}  // namespace
}  // namespace lockstep::collectives
