// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Outputs that no cache holds take other ways (past the caches) than those of the contract's sizes.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <span>
#include <vector>

#include "collectives/host/shm/stream_copy.h"
#include "collectives/testing/process_gang.h"
#include "collectives/testing/thread_gang.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives {
namespace {

using base::testing::IsOk;
using testing::ThreadGang;

constexpr size_t kRanks = 2;

/// So that inputs and outputs of both ranks together are twice what the caches hold, and no
/// multiple of a cache line.
size_t Count() { return LastCacheBytes() / kRanks / sizeof(int32_t) * 5 / 4 / 2 * 2 + 2; }

int32_t Value(size_t rank, size_t index) {
  return static_cast<int32_t>(index * (rank + 1) + 7 * rank);
}
void Fill(std::span<int32_t> data, size_t rank) {
  for (size_t i = 0; i < data.size(); ++i) data[i] = Value(rank, i);
}
int32_t Sum(size_t index) { return Value(0, index) + Value(1, index); }

/// How many elements are not `expected(index)`.
template <class Expected>
size_t Wrong(std::span<const int32_t> data, const Expected& expected) {
  size_t wrong = 0;
  for (size_t i = 0; i < data.size(); ++i) wrong += data[i] == expected(i) ? 0 : 1;
  return wrong;
}

ConstBuffer In(std::span<const int32_t> data) { return {data.data(), data.size(), Dtype::kI32}; }
Buffer Out(std::span<int32_t> data) { return {data.data(), data.size(), Dtype::kI32}; }

TEST(ShmLargeTest, BetweenBuffersOfMalloc) {
  const size_t count = Count();
  ThreadGang(kRanks).Run([count](Group& group) {
    const auto rank = static_cast<size_t>(group.rank().value());
    std::vector<int32_t> in(count), out(count), all(kRanks * count);
    Fill(in, rank);

    EXPECT_THAT(group.AllReduce(In(in), Out(out), Reduction::kSum)->Wait(), IsOk());
    EXPECT_EQ(Wrong(out, Sum), 0u) << "all_reduce";
    // One element from where a cache line begins, too.
    const std::span<int32_t> shifted = std::span(out).subspan(1);
    EXPECT_THAT(
        group.AllReduce(In(std::span(in).subspan(1)), Out(shifted), Reduction::kSum)->Wait(),
        IsOk());
    EXPECT_EQ(Wrong(shifted, [](size_t i) { return Sum(i + 1); }), 0u) << "beside a line";
    EXPECT_THAT(group.AllGather(In(in), Out(all))->Wait(), IsOk());
    EXPECT_EQ(Wrong(all, [count](size_t i) { return Value(i / count, i % count); }), 0u)
        << "all_gather";
    EXPECT_THAT(group.AllToAll(In(in), Out(out))->Wait(), IsOk());
    const size_t part = count / kRanks;
    EXPECT_EQ(Wrong(out, [&](size_t i) { return Value(i / part, rank * part + i % part); }), 0u)
        << "all_to_all";
    EXPECT_THAT(group.Reduce(In(in), Out(out), Reduction::kSum, base::GroupRank(1))->Wait(),
                IsOk());
    if (rank == 1) {
      EXPECT_EQ(Wrong(out, Sum), 0u) << "reduce";
    }
    EXPECT_THAT(group.AllReduce(In(in), Out(in), Reduction::kSum)->Wait(), IsOk());
    EXPECT_EQ(Wrong(in, Sum), 0u) << "in place";
  });
}

TEST(ShmLargeTest, BetweenSharedBuffers) {
  const size_t count = Count();
  ThreadGang(kRanks).Run([count](Group& group) {
    const auto rank = static_cast<size_t>(group.rank().value());
    ASSERT_OK_AND_ASSIGN(const auto buffer, group.AllocBuffer(2 * (count + 1) * sizeof(int32_t)));
    const std::span<int32_t> memory(reinterpret_cast<int32_t*>(buffer->data()), 2 * (count + 1));
    const std::span<int32_t> in = memory.first(count), aligned = memory.subspan(count, count + 1);
    Fill(in, rank);
    // Wherever the output lies to a cache line.
    for (const size_t begin : {size_t{0}, size_t{1}}) {
      const std::span<int32_t> out = aligned.subspan(begin, count);
      EXPECT_THAT(group.AllReduce(In(in), Out(out), Reduction::kSum)->Wait(), IsOk());
      EXPECT_EQ(Wrong(out, Sum), 0u) << begin;
    }
    const std::span<int32_t> out = aligned.subspan(0, count);
    EXPECT_THAT(group.AllToAll(In(in), Out(out))->Wait(), IsOk());
    const size_t part = count / kRanks;
    EXPECT_EQ(Wrong(out, [&](size_t i) { return Value(i / part, rank * part + i % part); }), 0u)
        << "all_to_all";
    EXPECT_THAT(group.AllGather(In(in.first(part)), Out(out))->Wait(), IsOk());
    EXPECT_EQ(Wrong(out, [part](size_t i) { return Value(i / part, i % part); }), 0u)
        << "all_gather";
    EXPECT_THAT(group.AllReduce(In(in), Out(in), Reduction::kSum)->Wait(), IsOk());
    EXPECT_EQ(Wrong(in, Sum), 0u) << "in place";
  });
}

/// The ways of moving are tried in turns, also process_vm_readv where it is allowed.
TEST(ShmLargeTest, OpsAreRightWhicheverWayTheyTake) {
  for (const int ranks : {2, 3}) {
    ThreadGang(ranks).Run([ranks](Group& group) {
      const auto rank = static_cast<size_t>(group.rank().value());
      const size_t count = (size_t{512} << 10) / sizeof(int32_t) + 5;
      std::vector<int32_t> in(count), out(count);
      for (size_t round = 0; round < 60; ++round) {
        const auto value = [round](size_t of, size_t i) { return Value(of, i) + 13 * int(round); };
        for (size_t i = 0; i < count; ++i) in[i] = value(rank, i);
        const bool in_place = round % 3 == 2;
        if (round % 2 == 0) {
          std::vector<int32_t> all(static_cast<size_t>(ranks) * count);
          ASSERT_THAT(group.AllGather(In(in), Out(all))->Wait(), IsOk());
          ASSERT_EQ(Wrong(all, [&](size_t i) { return value(i / count, i % count); }), 0u);
        }
        ASSERT_THAT(group.AllReduce(In(in), Out(in_place ? in : out), Reduction::kSum)->Wait(),
                    IsOk());
        ASSERT_EQ(Wrong(in_place ? in : out,
                        [&](size_t i) {
                          int32_t sum = 0;
                          for (int of = 0; of < ranks; ++of) sum += value(size_t(of), i);
                          return sum;
                        }),
                  0u)
            << round;
      }
    });
  }
}

/// Of processes that one has forked.
TEST(ShmLargeTest, WhatHasTheSameAddressInTwoProcessesIsTwoPlaces) {
  constexpr size_t count = (size_t{512} << 10) / sizeof(int32_t) + 5;
  std::vector<int32_t> in(count), out(count);
  testing::ProcessGang gang(2, std::chrono::seconds(30), [&](Group& group, auto&) {
    const auto rank = static_cast<size_t>(group.rank().value());
    Fill(in, rank);
    for (int round = 0; round < 40; ++round) {
      std::fill(out.begin(), out.end(), -1);
      ASSERT_THAT(group.AllReduce(In(in), Out(out), Reduction::kSum)->Wait(), IsOk());
      ASSERT_EQ(Wrong(out, Sum), 0u) << round;
    }
  });
  for (const int rank : {0, 1}) EXPECT_EQ(gang.Reap(rank), 0);
}

/// Of an all_gather whose output lies elsewhere on one of them, too: then nobody writes there.
TEST(ShmLargeTest, GathersBetweenSharedBuffersWhateverTheOutputsAre) {
  ThreadGang(kRanks).Run([](Group& group) {
    const auto rank = static_cast<size_t>(group.rank().value());
    const size_t count = (size_t{3} << 20) / sizeof(int32_t) + 3;
    ASSERT_OK_AND_ASSIGN(const auto buffer, group.AllocBuffer(3 * count * sizeof(int32_t)));
    const std::span<int32_t> memory(reinterpret_cast<int32_t*>(buffer->data()), 3 * count);
    const std::span<int32_t> shared = memory.first(kRanks * count), in = memory.last(count);
    std::vector<int32_t> plain(kRanks * count);
    const auto expected = [count](size_t i) { return Value(i / count, i % count); };
    for (const bool is_plain_on_one : {false, true}) {
      const std::span<int32_t> out = is_plain_on_one && rank == 1 ? std::span(plain) : shared;
      std::fill(out.begin(), out.end(), -1);
      Fill(in, rank);
      ASSERT_THAT(group.Barrier()->Wait(), IsOk());
      ASSERT_THAT(group.AllGather(In(in), Out(out))->Wait(), IsOk());
      EXPECT_EQ(Wrong(out, expected), 0u) << is_plain_on_one;
    }
    // In place.
    std::fill(shared.begin(), shared.end(), -1);
    Fill(shared.subspan(rank * count, count), rank);
    ASSERT_THAT(group.Barrier()->Wait(), IsOk());
    ASSERT_THAT(group.AllGather(In(shared.subspan(rank * count, count)), Out(shared))->Wait(),
                IsOk());
    EXPECT_EQ(Wrong(shared, expected), 0u) << "in place";
  });
}

TEST(ShmLargeTest, BroadcastsBetweenSharedBuffersComeFromEveryRoot) {
  ThreadGang(3).Run([](Group& group) {
    const auto rank = static_cast<size_t>(group.rank().value());
    const size_t count = 600'001;
    ASSERT_OK_AND_ASSIGN(const auto buffer, group.AllocBuffer((count + 2) * sizeof(int32_t)));
    const std::span<int32_t> memory(reinterpret_cast<int32_t*>(buffer->data()), count + 2);
    const std::span<int32_t> data = memory.subspan(1, count);
    for (size_t root = 0; root < 3; ++root) {
      Fill(memory, 10 * rank);
      const std::vector<int32_t> around = {memory.front(), memory.back()};
      Fill(data, rank);
      ASSERT_THAT(group.Broadcast(Out(data), base::GroupRank(static_cast<int>(root)))->Wait(),
                  IsOk());
      EXPECT_EQ(Wrong(data, [root](size_t i) { return Value(root, i); }), 0u) << root;
      EXPECT_EQ((std::vector<int32_t>{memory.front(), memory.back()}), around);
    }
  });
}

}  // namespace
}  // namespace lockstep::collectives
