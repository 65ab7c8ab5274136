// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// What collectives/group.h promises, over the host backend with ranks as threads.
#include "collectives/group.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <future>
#include <span>
#include <thread>

#include "collectives/testing/thread_gang.h"
#include "runtime/base/random.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives {
namespace {

using base::Code;
using base::GroupRank;
using base::Status;
using base::testing::StatusIs;
using std::chrono::seconds;
using ::testing::HasSubstr;
using testing::ThreadGang;

template <class T>
constexpr Dtype kDtypeOf = Dtype::kU8;
template <>
constexpr Dtype kDtypeOf<float> = Dtype::kF32;
template <>
constexpr Dtype kDtypeOf<double> = Dtype::kF64;
template <>
constexpr Dtype kDtypeOf<int64_t> = Dtype::kI64;
template <>
constexpr Dtype kDtypeOf<int32_t> = Dtype::kI32;

template <class T>
ConstBuffer In(const std::vector<T>& data) {
  return {data.data(), data.size(), kDtypeOf<T>};
}
template <class T>
Buffer Out(std::vector<T>& data) {
  return {data.data(), data.size(), kDtypeOf<T>};
}

// Small integers: sums and products of them are exact in every dtype, whatever the order.
template <class T>
std::vector<T> IntegersOf(int rank, size_t count) {
  std::vector<T> data(count);
  for (size_t i = 0; i < count; ++i)
    data[i] = static_cast<T>(1 + (i * 7 + static_cast<size_t>(rank) * 3) % 11);
  return data;
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

template <class T>
T ReducedSerially(Reduction reduction, int size, size_t i,
                  const std::vector<std::vector<T>>& inputs) {
  T value = inputs[0][i];
  for (int rank = 1; rank < size; ++rank) {
    const T next = inputs[static_cast<size_t>(rank)][i];
    switch (reduction) {
      case Reduction::kSum:
      case Reduction::kAverage: value += next; break;
      case Reduction::kProduct: value *= next; break;
      case Reduction::kMin: value = std::min(value, next); break;
      case Reduction::kMax: value = std::max(value, next); break;
      default: ADD_FAILURE() << "no reference for this reduction";
    }
  }
  return reduction == Reduction::kAverage ? static_cast<T>(value / static_cast<T>(size)) : value;
}

// 0 and 1; inline; small; the first size beyond small; one window and some; several windows; none
// divisible by 3 or 8.
constexpr size_t kCounts[] = {0, 1, 5, 12, 13, 1000, 2047, 2049, 4099, 70'001, 400'011};
// One for each path, where only the arithmetic is new.
constexpr size_t kFewCounts[] = {5, 1000, 70'001};

class GroupContractTest : public ::testing::TestWithParam<int> {
 protected:
  int size() const { return GetParam(); }

  template <class T>
  void CheckAllReduce(Reduction reduction, std::span<const size_t> counts) {
    for (const size_t count : counts) {
      std::vector<std::vector<T>> inputs;
      for (int rank = 0; rank < size(); ++rank) inputs.push_back(IntegersOf<T>(rank, count));
      std::vector<T> expected(count);
      for (size_t i = 0; i < count; ++i)
        expected[i] = ReducedSerially(reduction, size(), i, inputs);

      ThreadGang gang(size());
      gang.Run([&](Group& group) {
        const auto& in = inputs[static_cast<size_t>(group.rank().value())];
        std::vector<T> out(count, T{99});
        EXPECT_OK(group.AllReduce(In(in), Out(out), reduction)->Wait());
        EXPECT_TRUE(out == expected) << count << " elements";

        std::vector<T> in_place = in;
        EXPECT_OK(group.AllReduce(In(in_place), Out(in_place), reduction)->Wait());
        EXPECT_TRUE(in_place == expected) << count << " elements in place";
      });
    }
  }
};

INSTANTIATE_TEST_SUITE_P(Sizes, GroupContractTest, ::testing::Values(1, 2, 3, 4, 8),
                         [](const auto& instance) {
                           return "Of" + std::to_string(instance.param);
                         });

TEST_P(GroupContractTest, AllReduceSumsEveryDtypeExactly) {
  CheckAllReduce<float>(Reduction::kSum, kCounts);
  CheckAllReduce<double>(Reduction::kSum, kFewCounts);
  CheckAllReduce<int64_t>(Reduction::kSum, kFewCounts);
}

TEST_P(GroupContractTest, AllReduceHasTheOtherReductions) {
  CheckAllReduce<float>(Reduction::kAverage, kFewCounts);
  CheckAllReduce<double>(Reduction::kMin, kFewCounts);
  CheckAllReduce<float>(Reduction::kMax, kFewCounts);
  CheckAllReduce<int64_t>(Reduction::kProduct, kFewCounts);
  CheckAllReduce<int32_t>(Reduction::kAverage, kFewCounts);
}

TEST_P(GroupContractTest, AllReduceGivesTheSerialSumsBits) {
  const size_t count = 300'007;
  std::vector<std::vector<float>> inputs;
  for (int rank = 0; rank < size(); ++rank) inputs.push_back(UnevenFloats(rank, count));
  std::vector<float> expected(count);
  for (size_t i = 0; i < count; ++i)
    expected[i] = ReducedSerially(Reduction::kSum, size(), i, inputs);

  ThreadGang gang(size());
  gang.Run([&](Group& group) {
    std::vector<float> out(count);
    EXPECT_OK(group
                  .AllReduce(In(inputs[static_cast<size_t>(group.rank().value())]), Out(out),
                             Reduction::kSum)
                  ->Wait());
    // NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): bits are the subject
    EXPECT_EQ(std::memcmp(out.data(), expected.data(), count * sizeof(float)), 0);
  });
}

TEST_P(GroupContractTest, BuffersNeedNoAlignment) {
  ThreadGang gang(size());
  gang.Run([&](Group& group) {
    for (const size_t count : {size_t{9}, size_t{1001}, size_t{50'003}}) {
      std::vector<char> in(count * 8 + 3), out(count * 8 + 5);
      for (size_t i = 0; i < count; ++i) {
        const double value = static_cast<double>(i % 100);
        std::memcpy(in.data() + 3 + i * 8, &value, 8);
      }
      EXPECT_OK(group
                    .AllReduce({in.data() + 3, count, Dtype::kF64},
                               {out.data() + 5, count, Dtype::kF64}, Reduction::kSum)
                    ->Wait());
      for (size_t i = 0; i < count; ++i) {
        double value;
        std::memcpy(&value, out.data() + 5 + i * 8, 8);
        ASSERT_EQ(value, static_cast<double>(i % 100) * group.size()) << i;
      }
    }
  });
}

TEST_P(GroupContractTest, BroadcastCopiesFromEveryRoot) {
  ThreadGang gang(size());
  gang.Run([&](Group& group) {
    for (const size_t count : kCounts) {
      for (int root = 0; root < group.size(); ++root) {
        auto data = IntegersOf<float>(group.rank().value(), count);
        EXPECT_OK(group.Broadcast(Out(data), GroupRank(root))->Wait());
        EXPECT_TRUE(data == IntegersOf<float>(root, count)) << count << " elements from " << root;
      }
    }
  });
}

TEST_P(GroupContractTest, AllGatherConcatenatesInRankOrder) {
  ThreadGang gang(size());
  gang.Run([&](Group& group) {
    const size_t rank = static_cast<size_t>(group.rank().value());
    const size_t n = static_cast<size_t>(group.size());
    for (const size_t count : {size_t{0}, size_t{1}, size_t{7}, size_t{1100}, size_t{150'003}}) {
      std::vector<int64_t> expected;
      for (int r = 0; r < group.size(); ++r) {
        const auto part = IntegersOf<int64_t>(r, count);
        expected.insert(expected.end(), part.begin(), part.end());
      }
      std::vector<int64_t> out(count * n);
      EXPECT_OK(
          group.AllGather(In(IntegersOf<int64_t>(group.rank().value(), count)), Out(out))->Wait());
      EXPECT_TRUE(out == expected) << count;

      std::vector<int64_t> in_place(count * n);
      const auto own = IntegersOf<int64_t>(group.rank().value(), count);
      std::copy(own.begin(), own.end(), in_place.begin() + static_cast<ptrdiff_t>(rank * count));
      EXPECT_OK(
          group.AllGather({in_place.data() + rank * count, count, Dtype::kI64}, Out(in_place))
              ->Wait());
      EXPECT_TRUE(in_place == expected) << count << " in place";
    }
  });
}

TEST_P(GroupContractTest, BytesOfAnyDtypeAreBroadcast) {
  ThreadGang gang(size());
  gang.Run([&](Group& group) {
    std::vector<uint8_t> halves(size_t{2} * 10'001, static_cast<uint8_t>(group.rank().value() + 1));
    EXPECT_OK(group.Broadcast({halves.data(), 10'001, Dtype::kBf16}, GroupRank(0))->Wait());
    EXPECT_EQ(halves, std::vector<uint8_t>(size_t{2} * 10'001, 1));
  });
}

TEST_P(GroupContractTest, BarrierEndsOnNoMemberBeforeAllHaveCome) {
  ThreadGang gang(size());
  std::atomic<int> arrived{0};
  gang.Run([&](Group& group) {
    for (int round = 1; round <= 20; ++round) {
      ++arrived;
      EXPECT_OK(group.Barrier()->Wait());
      EXPECT_GE(arrived.load(), round * group.size());
    }
  });
}

TEST_P(GroupContractTest, MixedOpsOfMixedSizesKeepTheirBuffersApart) {
  ThreadGang gang(size());
  gang.Run([&](Group& group) {
    base::Random random(42);  // the same plan on every rank
    for (int round = 0; round < 60; ++round) {
      const size_t count = random.Below(3) == 0 ? random.Below(200'000) : random.Below(4000);
      const int root = static_cast<int>(random.Below(static_cast<uint64_t>(group.size())));
      std::vector<int64_t> data(count, group.rank().value() + round);
      if (random.Below(2) == 0) {
        ASSERT_OK(group.Broadcast(Out(data), GroupRank(root))->Wait());
        ASSERT_EQ(data, std::vector<int64_t>(count, root + round));
      } else {
        ASSERT_OK(group.AllReduce(In(data), Out(data), Reduction::kMax)->Wait());
        ASSERT_EQ(data, std::vector<int64_t>(count, group.size() - 1 + round));
      }
    }
  });
}

TEST_P(GroupContractTest, ManyOpsInFlightEndInOrder) {
  ThreadGang gang(size());
  gang.Run([&](Group& group) {
    constexpr int kOps = 40;
    std::vector<std::vector<float>> buffers;
    for (int i = 0; i < kOps; ++i) buffers.emplace_back(1000 + i * 500, static_cast<float>(i));
    std::vector<std::shared_ptr<Work>> works;
    std::vector<uint64_t> ended;  // written on the progress thread; read after the last callback
    std::promise<void> all_ended;
    for (auto& buffer : buffers) {
      works.push_back(group.AllReduce(In(buffer), Out(buffer), Reduction::kSum));
      works.back()->OnComplete([&, seq = works.back()->seq()](const Status& status) {
        EXPECT_OK(status);
        ended.push_back(seq.value());
        if (ended.size() == kOps) all_ended.set_value();
      });
    }
    ASSERT_EQ(all_ended.get_future().wait_for(seconds(60)), std::future_status::ready);
    EXPECT_TRUE(std::is_sorted(ended.begin(), ended.end()));
    for (int i = 0; i < kOps; ++i) {
      EXPECT_EQ(works[static_cast<size_t>(i)]->state(), Work::State::kCompleted);
      EXPECT_EQ(buffers[static_cast<size_t>(i)].back(), static_cast<float>(i * group.size()));
    }
  });
}

TEST_P(GroupContractTest, AnOpThatNobodyWaitsForRunsAllTheSame) {
  ThreadGang gang(size());
  gang.Run([&](Group& group) {
    std::vector<float> data(10, 1.0f);
    const auto work = group.AllReduce(In(data), Out(data), Reduction::kSum);
    if (group.rank() == GroupRank(0)) {
      EXPECT_OK(work->Wait());  // needs the others, who do not wait until this one is done
    }
    while (work->timings().completed == std::nullopt) std::this_thread::yield();
    EXPECT_EQ(data[9], static_cast<float>(group.size()));
    EXPECT_LE(work->timings().enqueued, *work->timings().started);
    EXPECT_LE(*work->timings().started, *work->timings().completed);
  });
}

TEST_P(GroupContractTest, NoTimeoutIsTooLong) {
  ThreadGang gang(size());
  gang.join_timeout = base::Duration::max();
  std::atomic<int> called{0};
  gang.Run([&](Group& group) {
    EXPECT_EQ(group.timeout(), seconds(60));
    EXPECT_OK(group.Barrier({.timeout = base::Duration::max()})->Wait());
    group.SetTimeout(base::Duration::max());
    while (group.rank().value() + 1 == size() && called.load() < size() - 1)
      std::this_thread::yield();
    const auto work = group.Barrier();
    ++called;
    EXPECT_OK(work->WaitFor(base::Duration::max()));
  });
}

TEST_P(GroupContractTest, AbortEndsEverythingOnAllMembers) {
  ThreadGang gang(size());
  gang.Run([&](Group& group) {
    ASSERT_OK(group.Barrier()->Wait());
    if (group.rank() == GroupRank(0)) group.Abort(base::CancelledError("the user said so"));
    Status status;
    do {
      status = group.Barrier()->Wait();
    } while (status.ok() && group.size() > 1);
    if (group.size() == 1) status = group.Barrier()->Wait();
    EXPECT_THAT(status, StatusIs(Code::kAborted));
    if (group.size() > 1) {
      EXPECT_THAT(status.root(), StatusIs(Code::kAborted, HasSubstr("the user said so")));
    }
  });
}

}  // namespace
}  // namespace lockstep::collectives
