// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// What collectives/group.h promises, over the host backend with ranks as threads.
#include "collectives/group.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <future>
#include <mutex>
#include <set>
#include <span>
#include <thread>

#include "collectives/host/shm/shm_layout.h"
#include "collectives/testing/thread_gang.h"
#include "runtime/base/random.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives {
namespace {

using base::Code;
using base::GroupRank;
using base::Rank;
using base::Round;
using base::Status;
using base::testing::HasSubject;
using base::testing::IsOk;
using base::testing::StatusIs;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
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

struct WrongCall {
  const char* name;
  Code code;
  const char* reason;  // a part of it
  std::function<std::shared_ptr<Work>(Group&, std::vector<float>& data)> call;
};

const WrongCall kWrongCalls[] = {
    {"null", Code::kInvalidArgument, "null",
     [](Group& group, std::vector<float>& data) {
       return group.AllReduce({nullptr, 8, Dtype::kF32}, Out(data), Reduction::kSum);
     }},
    {"unequal counts", Code::kInvalidArgument, "as many as the input",
     [](Group& group, std::vector<float>& data) {
       return group.AllReduce(In(data), {data.data(), 7, Dtype::kF32}, Reduction::kSum);
     }},
    {"unequal dtypes", Code::kInvalidArgument, "f64",
     [](Group& group, std::vector<float>& data) {
       return group.AllReduce(In(data), {data.data(), 8, Dtype::kF64}, Reduction::kSum);
     }},
    {"overlap", Code::kInvalidArgument, "overlap",
     [](Group& group, std::vector<float>& data) {
       return group.AllReduce({data.data(), 7, Dtype::kF32}, {data.data() + 1, 7, Dtype::kF32},
                              Reduction::kSum);
     }},
    {"overflow", Code::kInvalidArgument, "overflows",
     [](Group& group, std::vector<float>& data) {
       return group.AllReduce({data.data(), SIZE_MAX / 4, Dtype::kF32},
                              {data.data(), SIZE_MAX / 4, Dtype::kF32}, Reduction::kSum);
     }},
    {"dtype", Code::kUnimplemented, "has no all_reduce of f8e4m3 with sum",
     [](Group& group, std::vector<float>& data) {
       return group.AllReduce({data.data(), 4, Dtype::kF8E4m3}, {data.data(), 4, Dtype::kF8E4m3},
                              Reduction::kSum);
     }},
    {"reduction", Code::kUnimplemented, "band",
     [](Group& group, std::vector<float>& data) {
       return group.AllReduce(In(data), Out(data), Reduction::kBitAnd);
     }},
    {"device", Code::kUnimplemented, "main memory",
     [](Group& group, std::vector<float>& data) {
       return group.AllReduce({data.data(), 4, Dtype::kF32, {Device::Kind::kCuda, 0}}, Out(data),
                              Reduction::kSum);
     }},
    {"root", Code::kInvalidArgument, "in a group of",
     [](Group& group, std::vector<float>& data) {
       return group.Broadcast(Out(data), GroupRank(group.size()));
     }},
    {"small output", Code::kInvalidArgument, "must hold all",
     [](Group& group, std::vector<float>& data) {
       return group.AllGather(In(data), {data.data(), 3, Dtype::kF32});
     }},
};

// Such a call once failed without taking a number: the next one met another call of the peers, and
// a wrong sum was OK.
TEST_P(GroupContractTest, ACallThatOneMemberRefusesIsEverybodysErrorAtOnce) {
  for (const WrongCall& wrong : kWrongCalls) {
    SCOPED_TRACE(wrong.name);
    ThreadGang gang(size());
    gang.timeout = seconds(600);
    std::atomic<int> done{0};
    gang.Run([&](Group& group) {
      std::vector<float> data(8, 1.0f);
      const int rank = group.rank().value();
      ASSERT_OK(group.Barrier()->Wait());
      if (rank == 0) {
        const auto work = wrong.call(group, data);
        EXPECT_THAT(work->Wait(), StatusIs(wrong.code, HasSubstr(wrong.reason)));
        EXPECT_EQ(work->seq(), base::OpSeq(2));
      } else if (rank == 1 ||
                 rank + 1 < size()) {  // of several the last one comes when the others are through
        const Status status = group.AllReduce(In(data), Out(data), Reduction::kSum)->Wait();
        EXPECT_THAT(status, StatusIs(Code::kFailedPrecondition,
                                     AllOf(HasSubstr("rank 0"), HasSubstr(wrong.reason))));
        EXPECT_EQ(status.failure_class(), base::FailureClass::kUsage);
        EXPECT_THAT(status, HasSubject(Rank(0)));
        EXPECT_THAT(status.subjects()[0].call_site, HasSubstr("group_contract_test.cc:"));
      }
      ++done;
      while (rank > 1 && rank + 1 == size() && done.load() < size()) std::this_thread::yield();
      const Status later = group.AllReduce(In(data), Out(data), Reduction::kSum)->Wait();
      EXPECT_FALSE(later.ok());
      EXPECT_THAT(later.root(),
                  StatusIs(rank == 0 && size() == 1 ? wrong.code : Code::kFailedPrecondition));
      EXPECT_EQ(data, std::vector<float>(8, 1.0f));
    });
  }
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

// ---------------------------------------------------------------- what only several members can do

class GroupFailureTest : public ::testing::TestWithParam<int> {
 protected:
  int size() const { return GetParam(); }
};

INSTANTIATE_TEST_SUITE_P(Sizes, GroupFailureTest, ::testing::Values(2, 3, 4, 8),
                         [](const auto& instance) {
                           return "Of" + std::to_string(instance.param);
                         });

struct Mismatch {
  const char* name;
  std::function<std::shared_ptr<Work>(Group&, bool guilty, std::vector<float>& data)> call;
};

const Mismatch kMismatches[] = {
    {"kind",
     [](Group& group, bool guilty, std::vector<float>& data) {
       return guilty ? group.Barrier() : group.AllReduce(In(data), Out(data), Reduction::kSum);
     }},
    {"dtype",
     [](Group& group, bool guilty, std::vector<float>& data) {
       const Dtype dtype = guilty ? Dtype::kI32 : Dtype::kF32;
       return group.AllReduce({data.data(), data.size(), dtype}, {data.data(), data.size(), dtype},
                              Reduction::kSum);
     }},
    {"reduction",
     [](Group& group, bool guilty, std::vector<float>& data) {
       return group.AllReduce(In(data), Out(data), guilty ? Reduction::kMax : Reduction::kSum);
     }},
    {"count",
     [](Group& group, bool guilty, std::vector<float>& data) {
       const size_t count = data.size() - (guilty ? 1 : 0);
       return group.AllReduce({data.data(), count}, {data.data(), count}, Reduction::kSum);
     }},
    {"root",
     [](Group& group, bool guilty, std::vector<float>& data) {
       return group.Broadcast(Out(data), GroupRank(guilty ? 1 : 0));
     }},
};

TEST_P(GroupFailureTest, AMismatchIsTheSameErrorOnEveryMemberAndBlamesTheMinority) {
  for (const Mismatch& mismatch : kMismatches) {
    for (const size_t count : {size_t{4}, size_t{100'000}}) {
      SCOPED_TRACE(std::string(mismatch.name) + " with " + std::to_string(count));
      ThreadGang gang(size());
      const Rank guilty(size() - 1);
      std::mutex mutex;
      std::set<std::string> messages;
      gang.Run([&](Group& group) {
        std::vector<float> data(count, 3.0f);
        ASSERT_OK(group.Barrier()->Wait());
        const Status status =
            mismatch
                .call(group,
                      group.info().world_ranks[static_cast<size_t>(group.rank().value())] == guilty,
                      data)
                ->Wait();
        EXPECT_THAT(status, StatusIs(Code::kFailedPrecondition));
        EXPECT_EQ(status.failure_class(), base::FailureClass::kUsage);
        EXPECT_THAT(status, HasSubject(guilty));
        if (size() > 2) {
          EXPECT_THAT(status, Not(HasSubject(Rank(0))));
        }
        ASSERT_TRUE(status.op().has_value());
        EXPECT_EQ(status.op()->seq, base::OpSeq(2));
        EXPECT_THAT(status.subjects().back().call_site, HasSubstr("group_contract_test.cc:"));
        EXPECT_EQ(data, std::vector<float>(count, 3.0f)) << "a byte was moved";

        const Status later = group.Barrier()->Wait();
        EXPECT_THAT(later, StatusIs(Code::kAborted));
        EXPECT_EQ(later.root().code(), Code::kFailedPrecondition);
        const std::lock_guard<std::mutex> lock(mutex);
        messages.insert(status.message());
      });
      EXPECT_EQ(messages.size(), 1u);
    }
  }
}

TEST_P(GroupFailureTest, ThePassedDeadlineNamesTheRankThatNeverCalled) {
  ThreadGang gang(size());
  std::atomic<int> gave_up{0};
  gang.Run([&](Group& group) {
    ASSERT_OK(group.Barrier()->Wait());
    std::vector<float> data(3);
    if (group.rank() == GroupRank(1)) {
      while (gave_up.load() < size() - 1) std::this_thread::yield();
      const Status late = group.AllReduce(In(data), Out(data), Reduction::kSum)->Wait();
      EXPECT_THAT(late, StatusIs(Code::kDeadlineExceeded));  // the same op, the same error
      EXPECT_THAT(group.Barrier()->Wait(), StatusIs(Code::kAborted));
      return;
    }
    group.SetTimeout(milliseconds(500));  // in which all but rank 1 come, on a busy machine too
    const auto work = group.AllReduce(In(data), Out(data), Reduction::kSum);
    const Status status = work->Wait();
    EXPECT_THAT(status, StatusIs(Code::kDeadlineExceeded, HasSubstr("never called")));
    EXPECT_EQ(work->state(), Work::State::kTimedOut);
    EXPECT_THAT(status, HasSubject(Rank(1)));
    EXPECT_THAT(status, Not(HasSubject(Rank(0))));
    ++gave_up;
  });
}

TEST_P(GroupFailureTest, AnOpBehindAnotherEndsByItsOwnDeadline) {
  ThreadGang gang(size());
  std::atomic<int> done{0};
  gang.Run([&](Group& group) {
    if (group.rank() != GroupRank(0)) {
      while (done.load() == 0) std::this_thread::yield();
      return;
    }
    const auto before = std::chrono::steady_clock::now();
    const auto first = group.Barrier({.timeout = seconds(600)});
    const auto second = group.Barrier({.timeout = milliseconds(50)});
    EXPECT_FALSE(second->Wait().ok());
    EXPECT_THAT(first->Wait(),
                StatusIs(Code::kDeadlineExceeded, HasSubstr("op 2, which ran out of its 50ms")));
    EXPECT_LT(std::chrono::steady_clock::now() - before, seconds(10));
    done = 1;
  });
}

TEST_P(GroupFailureTest, WaitForLeavesTheOpInFlight) {
  ThreadGang gang(size());
  std::atomic<bool> go{false};
  gang.Run([&](Group& group) {
    if (group.rank() != GroupRank(0)) {
      while (!go.load()) std::this_thread::yield();
      EXPECT_OK(group.Barrier()->Wait());
      return;
    }
    const auto work = group.Barrier();
    EXPECT_THAT(work->WaitFor(milliseconds(5)),
                StatusIs(Code::kDeadlineExceeded, HasSubstr("in flight")));
    EXPECT_FALSE(work->done());
    EXPECT_OK(work->status());
    go = true;
    EXPECT_OK(work->WaitFor(seconds(60)));
  });
}

TEST_P(GroupFailureTest, ALeavingMemberFailsTheOthersAtOnce) {
  ThreadGang gang(size());
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size(); ++rank) {
    threads.emplace_back([&, rank] {
      ASSERT_OK_AND_ASSIGN(auto group, gang.Join(rank));
      ASSERT_OK(group->Barrier()->Wait());
      if (rank == 1) return;
      std::vector<float> data(100'000);
      const Status status =
          group->AllReduce(In(data), Out(data), Reduction::kSum, {.timeout = seconds(600)})->Wait();
      EXPECT_THAT(status.root(), StatusIs(Code::kUnavailable, HasSubstr("left the group")));
      EXPECT_EQ(status.root().failure_class(), base::FailureClass::kPeerDead);
      EXPECT_THAT(status.root(), HasSubject(Rank(1)));
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// Those who wait once looked at the missing members one after the other.
TEST_P(GroupFailureTest, AMemberThatLeftIsNoticedWhileALowerOneIsLate) {
  ThreadGang gang(size());
  std::atomic<bool> over{false};
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size(); ++rank) {
    threads.emplace_back([&, rank] {
      ASSERT_OK_AND_ASSIGN(auto group, gang.Join(rank));
      ASSERT_OK(group->Barrier()->Wait());
      if (rank == 1) return;
      if (rank == 0) {
        while (size() > 2 && !over.load()) std::this_thread::yield();
        return;
      }
      const Status status = group->Barrier({.timeout = seconds(600)})->Wait();
      EXPECT_THAT(status.root(), StatusIs(Code::kUnavailable, HasSubstr("left the group")));
      EXPECT_THAT(status.root(), HasSubject(Rank(1)));
      EXPECT_THAT(status.root(), Not(HasSubject(Rank(0))));
      over = true;
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_P(GroupFailureTest, MembersMayEndAtDifferentTimesAfterTheLastOp) {
  for (int round = 0; round < 20; ++round) {
    ThreadGang gang(size());
    std::vector<std::thread> threads;
    for (int rank = 0; rank < size(); ++rank) {
      threads.emplace_back([&, rank] {
        ASSERT_OK_AND_ASSIGN(auto group, gang.Join(rank));
        std::vector<float> data(50'000, 1.0f);
        EXPECT_OK(group->AllReduce(In(data), Out(data), Reduction::kSum)->Wait());
        EXPECT_EQ(data.back(), static_cast<float>(size()));
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
}

// Twice its timeout, and the same without a phase is ThePassedDeadlineNamesTheRankThatNeverCalled.
TEST_P(GroupFailureTest, ALongPhaseOfTheLateRankExtendsTheDeadline) {
  ThreadGang gang(size());
  std::atomic<bool> declared{false};
  gang.Run([&](Group& group) {
    ASSERT_OK(group.Barrier()->Wait());
    if (group.rank() == GroupRank(1)) {
      const LongPhase phase(group, seconds(60));
      declared = true;
      std::this_thread::sleep_for(milliseconds(400));  // tidy:allow sleep: beyond the deadline
      EXPECT_OK(group.Barrier()->Wait());
      return;
    }
    while (!declared.load()) std::this_thread::yield();
    EXPECT_OK(group.Barrier({.timeout = milliseconds(200)})->Wait());
  });
}

TEST_P(GroupFailureTest, AGroupGrowsByThoseWhoMakeItFromTheSameSpec) {
  const auto maker = ThreadGang::InSharedMemory();
  ThreadGang gang(size(), maker);
  std::vector<Rank> all = gang.ConfigFor(0).spec.world_ranks;
  all.emplace_back(77);
  std::atomic<int> done{0};
  const auto sum = [&](Group& grown) {
    EXPECT_EQ(grown.info().world_ranks, all);
    int32_t one = 1;
    EXPECT_OK(
        grown.AllReduce({&one, 1, Dtype::kI32}, {&one, 1, Dtype::kI32}, Reduction::kSum)->Wait());
    EXPECT_EQ(one, size() + 1);
    ++done;
    while (done.load() < size() + 1) std::this_thread::yield();
  };
  std::thread newcomer([&] {
    QueuedGroup::Config config = gang.ConfigFor(0);
    config.spec.rank = GroupRank(size());
    config.spec.world_ranks = all;
    ASSERT_OK_AND_ASSIGN(const auto grown, QueuedGroup::Create(config, maker));
    sum(*grown);
  });
  gang.Run([&](Group& group) {
    const Rank added(77);
    ASSERT_OK_AND_ASSIGN(const auto grown, group.Grow({&added, 1}));
    sum(*grown);
    const Rank twice = group.info().world_ranks[0];
    EXPECT_THAT(group.Grow({&twice, 1}), StatusIs(Code::kInvalidArgument, HasSubstr("already")));
  });
  newcomer.join();
}

TEST_P(GroupFailureTest, DestructionEndsWhatIsInFlight) {
  ThreadGang gang(size());
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size(); ++rank) {
    threads.emplace_back([&, rank] {
      ASSERT_OK_AND_ASSIGN(auto group, gang.Join(rank));
      if (rank != 0) {
        EXPECT_THAT(group->Barrier({.timeout = seconds(600)})->Wait(), Not(IsOk()));
        return;
      }
      std::vector<float> data(9);
      const auto first = group->AllReduce(In(data), Out(data), Reduction::kSum);
      const auto second = group->Barrier();
      std::atomic<int> told{0};
      second->OnComplete([&](const Status& status) {
        EXPECT_FALSE(status.ok());
        ++told;
      });
      group.reset();
      EXPECT_TRUE(first->done());
      EXPECT_FALSE(first->status().ok());
      EXPECT_FALSE(second->Wait().ok());
      EXPECT_EQ(told.load(), 1);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_P(GroupFailureTest, AWorkOutlivesItsGroup) {
  ThreadGang gang(size());
  std::vector<std::shared_ptr<Work>> works(static_cast<size_t>(size()));
  gang.Run([&](Group& group) {
    const auto work = group.Barrier();
    EXPECT_OK(work->Wait());
    works[static_cast<size_t>(group.rank().value())] = work;
  });

  for (const auto& work : works) {
    EXPECT_OK(work->Wait());
    bool called = false;
    work->OnComplete([&](const Status& status) { called = status.ok(); });
    EXPECT_TRUE(called);
  }
}

TEST_P(GroupFailureTest, AMissingMemberIsNamedWhenTheGroupDoesNotForm) {
  ThreadGang gang(size());
  gang.join_timeout = milliseconds(50);
  std::vector<std::thread> threads;
  for (int rank = 0; rank + 1 < size(); ++rank) {
    threads.emplace_back([&, rank] {
      const auto group = gang.Join(rank);
      EXPECT_THAT(group, StatusIs(Code::kDeadlineExceeded, HasSubstr("never came")));
      EXPECT_THAT(group, HasSubject(Rank(size() - 1)));
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// Hands everybody the same memory, as a stale descriptor from an earlier round would.
class OneSegment final : public SegmentSource {
 public:
  base::Result<std::shared_ptr<Segment>> Open(const SegmentRequest& request,
                                              base::Duration) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (segment_ == nullptr) {
      ASSIGN_OR_RETURN(segment_, Segment::Anonymous(request.bytes));
    }
    return segment_;
  }

 private:
  std::mutex mutex_;
  std::shared_ptr<Segment> segment_;
};

// A second group of the same name and members once met the memory of the first: AlreadyExists.
TEST_P(GroupFailureTest, AGroupIsMadeAgainInTheSameEpochAsOftenAsWanted) {
  ThreadGang gang(size());
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::set<uint64_t> ids;
  for (int rank = 0; rank < size(); ++rank) {
    threads.emplace_back([&, rank] {
      for (uint32_t time = 1; time <= 5; ++time) {
        ASSERT_OK_AND_ASSIGN(auto group, gang.Join(rank));
        EXPECT_EQ(group->info().instance, time);
        std::vector<float> data(5000, 1.0f);
        EXPECT_OK(group->AllReduce(In(data), Out(data), Reduction::kSum)->Wait());
        EXPECT_EQ(data.back(), static_cast<float>(size()));
        const std::lock_guard<std::mutex> lock(mutex);
        ids.insert(group->info().id.value());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ids.size(), 5u);
}

TEST_P(GroupFailureTest, AfterAJoinThatTimedOutTheNextTryMeetsTheLateMembersNextTry) {
  ThreadGang gang(size());
  std::vector<std::thread> threads;
  std::atomic<int> gave_up{0};
  gang.join_timeout = milliseconds(50);
  for (int rank = 0; rank + 1 < size(); ++rank) {
    threads.emplace_back([&, rank] {
      EXPECT_THAT(gang.Join(rank),
                  StatusIs(Code::kDeadlineExceeded, HasSubstr("never came within 50ms")));
      ++gave_up;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(gang.Join(size() - 1), StatusIs(Code::kDeadlineExceeded));  // too late for that one
  gang.join_timeout = seconds(60);
  gang.Run([](Group& group) { EXPECT_OK(group.Barrier()->Wait()); });
}

TEST(QueuedGroupTest, TwoHoldersOfOneRankAreRefused) {
  ThreadGang gang(2);
  const auto maker = std::make_shared<ShmBackendMaker>(std::make_shared<OneSegment>());
  std::thread peer([&] {
    ASSERT_OK_AND_ASSIGN(auto group, QueuedGroup::Create(gang.ConfigFor(1), maker));
    EXPECT_OK(group->Barrier()->Wait());
  });
  ASSERT_OK_AND_ASSIGN(auto group, QueuedGroup::Create(gang.ConfigFor(0), maker));

  EXPECT_THAT(QueuedGroup::Create(gang.ConfigFor(0), maker),
              StatusIs(Code::kAlreadyExists, HasSubstr("two processes")));

  EXPECT_OK(group->Barrier()->Wait());
  peer.join();
}

// It was told that it "is already in it".
TEST(QueuedGroupTest, AMemberThatLeftAndComesAgainIsToldSoAndWhatToDo) {
  ThreadGang gang(2);
  const auto maker = std::make_shared<ShmBackendMaker>(std::make_shared<OneSegment>());
  std::thread peer([&] { EXPECT_THAT(QueuedGroup::Create(gang.ConfigFor(1), maker), IsOk()); });
  ASSERT_OK_AND_ASSIGN(auto group, QueuedGroup::Create(gang.ConfigFor(0), maker));
  peer.join();

  EXPECT_THAT(QueuedGroup::Create(gang.ConfigFor(1), maker),
              StatusIs(Code::kFailedPrecondition,
                       AllOf(HasSubstr("rank 1 was in it, as process " + std::to_string(getpid()) +
                                       ", and has left"),
                             HasSubstr("all ranks must make a new group"))));
  EXPECT_THAT(group->Barrier()->Wait(), StatusIs(Code::kUnavailable, HasSubstr("left the group")));
}

TEST(QueuedGroupTest, AMemberOfAnotherEpochIsRefused) {
  const auto maker = std::make_shared<ShmBackendMaker>(std::make_shared<OneSegment>());
  const auto join = [&](int rank, uint32_t epoch) {
    ThreadGang gang(2);
    gang.epoch = Round(epoch);
    return QueuedGroup::Create(gang.ConfigFor(rank), maker);
  };
  std::thread stale([&] { EXPECT_THAT(join(1, 6), StatusIs(Code::kFailedPrecondition)); });

  EXPECT_THAT(join(0, 7), StatusIs(Code::kFailedPrecondition, HasSubstr("epoch 6")));
  stale.join();
}

TEST(QueuedGroupTest, RanksOutsideTheGroupAreRefused) {
  const auto maker = ThreadGang::InSharedMemory();
  EXPECT_THAT(QueuedGroup::Create(
                  {.spec = {.rank = GroupRank(2), .world_ranks = {Rank(0), Rank(1)}}}, maker),
              StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(QueuedGroup::Create({.spec = {.rank = GroupRank(0),
                                            .world_ranks = std::vector<Rank>(kMaxShmMembers + 1)}},
                                  maker),
              StatusIs(Code::kInvalidArgument, HasSubstr("256")));
}

// After any single fault every Work of every survivor ends, within its deadline and a second.
TEST(QueuedGroupTest, NobodyWaitsBeyondTheDeadlineWhateverOneRankDoes) {
  enum Fault { kNeverCalls, kAborts, kLeaves, kDisagrees, kFaults };
  for (uint64_t seed = 0; seed < 24; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    base::Random random(seed);
    const int size = 2 + static_cast<int>(random.Below(4));
    const int guilty = static_cast<int>(random.Below(static_cast<uint64_t>(size)));
    const int fault = static_cast<int>(random.Below(kFaults));
    const int fault_at = static_cast<int>(random.Below(6));
    const size_t count = random.Below(2) == 0 ? 10 : 80'000;
    const base::Duration timeout = milliseconds(100);

    ThreadGang gang(size);
    gang.timeout = timeout;
    std::atomic<int> survivors_done{0};
    std::vector<std::thread> threads;
    for (int rank = 0; rank < size; ++rank) {
      threads.emplace_back([&, rank] {
        std::vector<std::vector<float>> buffers(
            8, std::vector<float>(count, 1.0f));  // outlives the ops in flight
        ASSERT_OK_AND_ASSIGN(auto group, gang.Join(rank));
        std::vector<std::shared_ptr<Work>> works;
        for (int op = 0; op < 8; ++op) {
          auto& data = buffers[static_cast<size_t>(op)];
          if (rank == guilty && op == fault_at) {
            if (fault == kNeverCalls) {
              while (survivors_done.load() < size - 1) std::this_thread::yield();
              return;
            }
            if (fault == kLeaves) return;
            if (fault == kAborts) group->Abort(base::CancelledError("fault"));
            if (fault == kDisagrees) data.pop_back();
          }
          works.push_back(group->AllReduce(In(data), Out(data), Reduction::kSum));
          if (op % 3 == 0) (void)works.back()->Wait();
        }
        bool failed = false;
        for (size_t i = 0; i < works.size(); ++i) {
          const Status status = works[i]->Wait();
          if (status.ok()) {
            EXPECT_FALSE(failed) << "an op after a failed one";
            EXPECT_EQ(buffers[i].front(), static_cast<float>(size));
            EXPECT_EQ(buffers[i].back(), static_cast<float>(size));
          }
          failed = failed || !status.ok();
          const auto took = *works[i]->timings().completed - works[i]->timings().enqueued;
          EXPECT_LT(took, timeout + seconds(1));
        }
        EXPECT_TRUE(failed);
        if (rank != guilty) ++survivors_done;
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
}

}  // namespace
}  // namespace lockstep::collectives
