// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// The contract of failures (testing/group_contract.h) of groups on several machines, and
// what backend a group has by where its members live; ranks are threads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "collectives/host/wide/local_wide.h"
#include "collectives/host/wide/wide_calls.h"
#include "collectives/host/wide/wide_moves.h"
#include "collectives/testing/footprint.h"
#include "collectives/testing/group_contract.h"
#include "collectives/testing/ops_data.h"
#include "collectives/testing/thread_gang.h"
#include "runtime/base/random.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives::testing {
namespace {

using base::Code;
using base::GroupRank;
using base::Rank;
using base::Status;
using base::testing::HasSubject;
using base::testing::StatusIs;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;

using Machines = std::vector<int>;  // by rank

std::shared_ptr<BackendMaker> Maker(const Machines& machines) {
  return std::make_shared<LocalWideMaker>(machines);
}

std::vector<GroupKind> Kinds() {
  std::vector<GroupKind> kinds;
  const std::pair<const char*, Machines> layouts[] = {
      {"TwoAndOne", {0, 0, 1}}, {"TwoAndTwo", {0, 0, 1, 1}}, {"InTurn", {0, 1, 0, 1, 0}}};
  for (const auto& [name, machines] : layouts) {
    kinds.push_back(GroupOf(name, static_cast<int>(machines.size()),
                            [machines = machines] { return Maker(machines); }));
  }
  return kinds;
}

INSTANTIATE_TEST_SUITE_P(Wide, FailureContractTest, ::testing::ValuesIn(Kinds()), GroupKindName);
INSTANTIATE_TEST_SUITE_P(Wide, WorkContractTest, ::testing::ValuesIn(Kinds()), GroupKindName);
INSTANTIATE_TEST_SUITE_P(Wide, AbortContractTest, ::testing::ValuesIn(Kinds()), GroupKindName);
INSTANTIATE_TEST_SUITE_P(Wide, JoinContractTest, ::testing::ValuesIn(Kinds()), GroupKindName);
INSTANTIATE_TEST_SUITE_P(Wide, RefusalContractTest, ::testing::ValuesIn(Kinds()), GroupKindName);
INSTANTIATE_TEST_SUITE_P(Wide, WaitContractTest, ::testing::ValuesIn(Kinds()), GroupKindName);
INSTANTIATE_TEST_SUITE_P(Wide, FaultContractTest, ::testing::ValuesIn(Kinds()), GroupKindName);

TEST(WideGroupTest, TheBackendIsByWhereMembersLive) {
  ThreadGang gang(5, Maker({0, 0, 1, 1, 1}));
  gang.Run([](Group& group) {
    EXPECT_EQ(group.info().backend, "wide");
    const int rank = group.rank().value();
    // {0, 1} and {2, 3, 4}; then {0, 2} and {1, 3}, 4 alone; then {0, 1, 2} and {3, 4}.
    const int colors[][5] = {{0, 0, 1, 1, 1}, {0, 1, 0, 1, 2}, {0, 0, 0, 1, 1}};
    const char* const backends[][3] = {
        {"shm", "shm", ""}, {"tcp", "tcp", "alone"}, {"wide", "shm", ""}};
    for (int way = 0; way < 3; ++way) {
      const int color = colors[way][rank];
      ASSERT_OK_AND_ASSIGN(const auto part, group.Split(color, rank));
      EXPECT_EQ(part->info().backend, backends[way][color]) << way << " " << color;
      std::vector<float> data(50'000, 1.0f);
      ASSERT_OK(
          part->AllReduce({data.data(), data.size()}, {data.data(), data.size()}, Reduction::kSum)
              ->Wait());
      EXPECT_EQ(data.back(), static_cast<float>(part->size()));
    }
  });
}

TEST(WideGroupTest, AShrunkGroupIsWhatItsMembersPlacesMakeOfIt) {
  ThreadGang gang(4, Maker({0, 0, 1, 1}));
  gang.Run([](Group& group) {
    if (group.rank().value() >= 2) return;
    const GroupRank excluded[] = {GroupRank(2), GroupRank(3)};
    ASSERT_OK_AND_ASSIGN(const auto left, group.Shrink(excluded));
    EXPECT_EQ(left->info().backend, "shm");
    EXPECT_OK(left->Barrier()->Wait());
  });
}

// Floats of many magnitudes: another order of summation gives other bits.
std::vector<float> UnevenFloats(int rank, size_t count) {
  base::Random random(static_cast<uint64_t>(rank) * 1'000'003 + count);
  std::vector<float> data(count);
  for (float& value : data) {
    value = static_cast<float>(
        std::ldexp(random.Unit() - 0.5, static_cast<int>(random.Below(40)) - 20));
  }
  return data;
}

TEST(WideGroupTest, AllMembersAndAllRunsHaveTheSameBits) {
  for (const size_t count : {size_t{64}, size_t{1000}, size_t{300'007}}) {
    std::mutex mutex;
    std::set<std::string> results;
    for (int run = 0; run < 2; ++run) {
      ThreadGang gang(5, Maker({0, 0, 1, 1, 1}));
      gang.Run([&](Group& group) {
        const std::vector<float> in = UnevenFloats(group.rank().value(), count);
        std::vector<float> out(count);
        ASSERT_OK(
            group.AllReduce({in.data(), count}, {out.data(), count}, Reduction::kSum)->Wait());
        const std::lock_guard<std::mutex> lock(mutex);
        results.emplace(reinterpret_cast<const char*>(out.data()), count * sizeof(float));
      });
    }
    EXPECT_EQ(results.size(), 1u) << count;
  }
}

// The last stage has 3 elements: one member of each machine has none to carry.
TEST(WideGroupTest, AllReduceGoesInStages) {
  const size_t count = 2 * kWideStageBytes / sizeof(double) + 3;
  for (const Machines& machines : {Machines{0, 0, 0, 0, 1, 1, 1, 1}, Machines{0, 0, 1, 1, 2, 2}}) {
    const auto size = static_cast<int>(machines.size());
    ThreadGang gang(size, Maker(machines));
    gang.Run([&](Group& group) {
      std::vector<double> in(count), out(count);
      for (size_t i = 0; i < count; ++i)
        in[i] = static_cast<double>(i % 1000) + group.rank().value();
      for (const bool in_place : {false, true}) {
        std::vector<double>& to = in_place ? in : out;
        ASSERT_OK(group
                      .AllReduce({in.data(), count, Dtype::kF64}, {to.data(), count, Dtype::kF64},
                                 Reduction::kAverage)
                      ->Wait());
        for (size_t i = 0; i < count; ++i)
          ASSERT_EQ(to[i], static_cast<double>(i % 1000) + (size - 1) / 2.0) << i;
      }
    });
  }
}

#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
// After one op of a gigabyte a member held as much for as long as its group lived.
TEST(WideGroupTest, TheMemoryOfALargeOpIsNotKept) {
  // Above what malloc keeps of freed memory.
  constexpr size_t kCount = (size_t{40} << 20) / sizeof(float);
  static_assert(kCount * sizeof(float) > kWideSpaceKeptBytes);
  ThreadGang gang(3, Maker({0, 0, 1}));
  gang.Run([](Group& group) {
    const auto reduce = [&group](size_t count) {
      std::vector<float> in(count, 1.0f), out(group.rank() == GroupRank(0) ? count : 0);
      EXPECT_OK(
          group.Reduce({in.data(), count}, {out.data(), out.size()}, Reduction::kSum, GroupRank(0))
              ->Wait());
    };
    reduce(size_t{1} << 20);
    ASSERT_OK(group.Barrier()->Wait());
    const int64_t before_kib = Footprint::Read().resident_kib;
    ASSERT_OK(group.Barrier()->Wait());

    reduce(kCount);

    ASSERT_OK(group.Barrier()->Wait());
    EXPECT_LT(Footprint::Read().resident_kib, before_kib + (24 << 10));
  });
}
#endif

// The last stage has one element, which one member of each machine carries.
TEST(WideGroupTest, BroadcastGoesInStages) {
  const size_t count = 2 * kWideStageBytes / sizeof(int32_t) + 1;
  for (const Machines& machines : {Machines{0, 0, 1, 1}, Machines{0, 0, 1, 1, 2, 2}}) {
    ThreadGang gang(static_cast<int>(machines.size()), Maker(machines));
    gang.Run([&](Group& group) {
      for (int root = 0; root < group.size(); root += 3) {
        const int seed = group.rank().value() == root ? 7 + root : 0;
        std::vector<int32_t> data(count);
        for (size_t i = 0; i < count; ++i) data[i] = static_cast<int32_t>(i) * seed;
        ASSERT_OK(
            group.Broadcast({data.data(), count, Dtype::kI32}, base::GroupRank(root))->Wait());
        for (size_t i = 0; i < count; ++i)
          ASSERT_EQ(data[i], static_cast<int32_t>(i) * (7 + root)) << i;
      }
    });
  }
}

TEST(WideGroupTest, BuffersOfAllocBufferAreReachedByTheMachinesMembers) {
  ThreadGang gang(4, Maker({0, 0, 1, 1}));
  gang.Run([](Group& group) {
    const size_t count = 200'000;
    ASSERT_OK_AND_ASSIGN(const auto memory, group.AllocBuffer(count * sizeof(float)));
    auto* const data = reinterpret_cast<float*>(memory->data());
    for (size_t i = 0; i < count; ++i) data[i] = static_cast<float>(group.rank().value() + 1);
    ASSERT_OK(group.AllReduce({data, count}, {data, count}, Reduction::kSum)->Wait());
    EXPECT_EQ(data[0], 10);
    EXPECT_EQ(data[count - 1], 10);
  });
}

// On the machine of the late rank all wait in shared memory, and on the other one for that machine.
TEST(WideGroupTest, OnlyTheRankThatIsLateIsBlamedAlsoByTheOtherMachine) {
  ThreadGang gang(4, Maker({0, 0, 1, 1}));
  std::atomic<int> gave_up{0};
  gang.Run([&](Group& group) {
    ASSERT_OK(group.Barrier()->Wait());
    std::vector<float> data(100'000);
    if (group.rank() == GroupRank(3)) {
      while (gave_up.load() < 3) std::this_thread::yield();
      return;
    }
    const Status status = group
                              .AllReduce({data.data(), data.size()}, {data.data(), data.size()},
                                         Reduction::kSum, {.timeout = seconds(2)})
                              ->Wait();
    EXPECT_THAT(status, StatusIs(Code::kDeadlineExceeded, HasSubstr("rank 3 never called it")));
    EXPECT_THAT(status, HasSubject(Rank(3)));
    for (const int innocent : {0, 1, 2}) EXPECT_THAT(status, Not(HasSubject(Rank(innocent))));
    ++gave_up;
  });
}

TEST(WideGroupTest, ExplainSaysWhichWay) {
  ThreadGang gang(4, Maker({0, 0, 1, 1}));
  gang.Run([](Group& group) {
    EXPECT_THAT(group.Explain(OpKind::kBarrier, Dtype::kU8, 0), HasSubstr("exchange of calls"));
    EXPECT_THAT(group.Explain(OpKind::kAllReduce, Dtype::kF32, 64), HasSubstr("256 bytes each"));
    EXPECT_THAT(group.Explain(OpKind::kAllReduce, Dtype::kF32, 1000), HasSubstr("combined"));
    EXPECT_THAT(group.Explain(OpKind::kAllReduce, Dtype::kF32, 100'000),
                HasSubstr("each of the 2 members there carries a slice"));
    EXPECT_THAT(group.Explain(OpKind::kAllReduce, Dtype::kBf16, 100'000),
                HasSubstr("between them direct: of sums"));
    EXPECT_THAT(group.Explain(OpKind::kReduce, Dtype::kF32, 100'000),
                HasSubstr("carried by one member of each"));
    EXPECT_THAT(group.Explain(OpKind::kAllToAll, Dtype::kF32, 100'000),
                HasSubstr("each pair has its own to say"));
  });
}

// Each multiple of the least number; exactly where sizes are powers of two, else the next one.
TEST(WideGroupTest, AveragesOfSmallF16HaveTheirBits) {
  struct Case {
    Machines machines;
    double off;
  };
  for (const Case& with : {Case{{0, 0, 0, 0, 1, 2, 3, 4}, 0}, Case{{0, 0, 0, 1}, 0x1p-24}}) {
    const int size = static_cast<int>(with.machines.size());
    ThreadGang(size, Maker(with.machines)).Run([&](Group& group) {
      for (const size_t count : {size_t{2100}, size_t{100'000}}) {  // carried, and moved
        const auto value = [](size_t i) { return static_cast<double>(i % 2047 + 1) * 0x1p-24; };
        std::vector<std::byte> data(2 * count);
        for (size_t i = 0; i < count; ++i) Store(Dtype::kF16, data.data() + 2 * i, value(i));
        const Buffer buffer{data.data(), count, Dtype::kF16};

        ASSERT_OK(group.AllReduce(buffer, buffer, Reduction::kAverage)->Wait());

        double off = 0;
        for (size_t i = 0; i < count; ++i)
          off = std::max(off, std::abs(Load(Dtype::kF16, data.data() + 2 * i) - value(i)));
        EXPECT_LE(off, with.off) << count;
      }
    });
  }
}

// Machines whose connections to all others were too many: what one makes is rounded at each hop.
TEST(WideGroupTest, AveragesOfSixteenBitsAreFiniteOnManyMachines) {
  constexpr size_t kCount = 100'000;
  for (const Machines& machines : {Machines{0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5},  //
                                   Machines{0, 0, 1, 2, 3, 4, 5}}) {
    const int size = static_cast<int>(machines.size());
    ThreadGang(size, std::make_shared<LocalWideMaker>(machines, 16)).Run([&](Group& group) {
      EXPECT_THAT(group.Explain(OpKind::kAllReduce, Dtype::kF16, kCount),
                  HasSubstr("more than 64"));
      // 60,000 on all but the last, which has half of it; in f16.
      const bool is_last = group.rank().value() + 1 == size;
      std::vector<std::byte> data(2 * kCount);
      for (size_t i = 0; i < kCount; ++i)
        Store(Dtype::kF16, data.data() + 2 * i, is_last ? 30'000 : 60'000);
      const Buffer buffer{data.data(), kCount, Dtype::kF16};

      ASSERT_OK(group.AllReduce(buffer, buffer, Reduction::kAverage)->Wait());

      const double mean = 60'000 - 30'000.0 / size;
      for (const size_t i : {size_t{0}, kCount / 2, kCount - 1})
        EXPECT_NEAR(Load(Dtype::kF16, data.data() + 2 * i), mean, 0.002 * mean) << i;
    });
  }
}

TEST(WideGroupTest, ExplainSaysWhyAGroupWithAFullMachineIsOverTcp) {
  Machines machines(kMaxMachineMembers + 1, 0);
  machines.push_back(1);
  ThreadGang gang(static_cast<int>(machines.size()), Maker(machines));
  gang.Run([](Group& group) {
    EXPECT_EQ(group.info().backend, "tcp");
    EXPECT_THAT(group.Explain(OpKind::kAllReduce, Dtype::kF32, 100'000),
                HasSubstr("; also within machines, where 65 members share one: groups of several "
                          "machines use shared memory with at most 64 on each"));
    EXPECT_THAT(group.Explain(OpKind::kSend, Dtype::kF32, 100'000), Not(HasSubstr("share one")))
        << "they go over TCP in any group of several machines";
    // Between the ends; and all of them, but where one service shakes hands for 66 members under
    // a sanitizer, which takes it 5 s.
    float word = 7;
    if (group.rank() == GroupRank(0)) {
      ASSERT_OK(group.Send({&word, 1}, GroupRank(kMaxMachineMembers + 1))->Wait());
    }
    if (group.rank() == GroupRank(kMaxMachineMembers + 1)) {
      word = 0;
      ASSERT_OK(group.Recv({&word, 1}, GroupRank(0))->Wait());
    }
    EXPECT_EQ(word, 7);
#if !defined(__SANITIZE_THREAD__)
    ASSERT_OK(group.Barrier()->Wait());
#endif
  });

  ThreadGang others(2, Maker({0, 1}));
  others.Run([](Group& group) {
    EXPECT_EQ(group.info().backend, "tcp");
    EXPECT_THAT(group.Explain(OpKind::kAllReduce, Dtype::kF32, 100'000),
                Not(HasSubstr("within machines")));
  });
}

}  // namespace
}  // namespace lockstep::collectives::testing
