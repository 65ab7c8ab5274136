// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// What group.h promises about failures (group_contract.h).
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "collectives/testing/group_contract.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives::testing {
namespace {

using base::Code;
using base::GroupRank;
using base::Rank;
using base::Status;
using base::testing::HasSubject;
using base::testing::IsOk;
using base::testing::StatusIs;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;

struct Mismatch {
  const char* name;
  std::function<std::shared_ptr<Work>(Group&, bool guilty, std::vector<float>& data)> call;
  bool blames_the_first = false;  // too: one of the two may be right
};

/// All of it is of the first member, but for one element that the guilty one believes to be of the
/// second: as many in all, and in the whole buffer.
std::vector<size_t> CountsOf(const Group& group, bool guilty, const std::vector<float>& data) {
  std::vector<size_t> counts(static_cast<size_t>(group.size()), 0);
  counts[0] = data.size() - (guilty ? 1 : 0);
  counts[1] = guilty ? 1 : 0;
  return counts;
}
/// This member's own.
Buffer PartOf(const Group& group, const std::vector<size_t>& counts, std::vector<float>& data) {
  const auto self = static_cast<size_t>(group.rank().value());
  const size_t offset = self == 0 ? 0 : self == 1 ? counts[0] : data.size();
  return {data.data() + offset, counts[self], Dtype::kF32, DeviceOf(group)};
}

/// The last member alone sends something, to the first, which expects one element less.
std::shared_ptr<Work> SendOneMore(Group& group, bool guilty, std::vector<float>& data) {
  std::vector<size_t> in_counts(static_cast<size_t>(group.size()), 0), out_counts = in_counts;
  const size_t half = data.size() / 2;
  if (guilty) in_counts.front() = half;
  if (group.rank() == GroupRank(0)) out_counts.back() = half - 1;
  const Buffer in{data.data(), in_counts.front(), Dtype::kF32, DeviceOf(group)};
  const Buffer out{data.data() + half, out_counts.back(), Dtype::kF32, DeviceOf(group)};
  return group.AllToAllV(in, in_counts, out, out_counts);
}

const Mismatch kMismatches[] = {
    {"kind",
     [](Group& group, bool guilty, std::vector<float>& data) {
       return guilty ? group.Barrier()
                     : group.AllReduce(In(group, data), Out(group, data), Reduction::kSum);
     }},
    {"dtype",
     [](Group& group, bool guilty, std::vector<float>& data) {
       const Dtype dtype = guilty ? Dtype::kI32 : Dtype::kF32;
       const Buffer buffer{data.data(), data.size(), dtype, DeviceOf(group)};
       return group.AllReduce(buffer, buffer, Reduction::kSum);
     }},
    {"reduction",
     [](Group& group, bool guilty, std::vector<float>& data) {
       return group.AllReduce(In(group, data), Out(group, data),
                              guilty ? Reduction::kMax : Reduction::kSum);
     }},
    {"count",
     [](Group& group, bool guilty, std::vector<float>& data) {
       const size_t count = data.size() - (guilty ? 1 : 0);
       const Buffer buffer{data.data(), count, Dtype::kF32, DeviceOf(group)};
       return group.AllReduce(buffer, buffer, Reduction::kSum);
     }},
    {"root",
     [](Group& group, bool guilty, std::vector<float>& data) {
       return group.Broadcast(Out(group, data), GroupRank(guilty ? 1 : 0));
     }},
    {"counts of all_gather_v",
     [](Group& group, bool guilty, std::vector<float>& data) {
       const auto counts = CountsOf(group, guilty, data);
       return group.AllGatherV(PartOf(group, counts, data), Out(group, data), counts);
     }},
    {"counts of reduce_scatter_v",
     [](Group& group, bool guilty, std::vector<float>& data) {
       const auto counts = CountsOf(group, guilty, data);
       return group.ReduceScatterV(In(group, data), PartOf(group, counts, data), counts,
                                   Reduction::kSum);
     }},
    {"counts of all_to_all_v", &SendOneMore, true},
};

TEST_P(FailureContractTest, AMismatchIsTheSameErrorOnEveryMemberAndBlamesTheMinority) {
  for (const Mismatch& mismatch : kMismatches) {
    for (const size_t count : {size_t{4}, size_t{100'000}}) {
      SCOPED_TRACE(std::string(mismatch.name) + " with " + std::to_string(count));
      const auto gang = NewGang();
      const Rank guilty(size() - 1);
      std::mutex mutex;
      std::set<std::string> messages;
      gang->Run([&](Group& group) {
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
        if (mismatch.blames_the_first) {
          EXPECT_THAT(status, HasSubject(Rank(0)));
        } else if (size() > 2) {
          EXPECT_THAT(status, Not(HasSubject(Rank(0))));
        }
        ASSERT_TRUE(status.op().has_value());
        EXPECT_EQ(status.op()->seq, base::OpSeq(2));
        EXPECT_THAT(status.subjects().back().call_site, HasSubstr("group_failure_tests.cc:"));
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

TEST_P(FailureContractTest, ThePassedDeadlineNamesTheRankThatNeverCalled) {
  const auto gang = NewGang();
  std::atomic<int> gave_up{0};
  gang->Run([&](Group& group) {
    ASSERT_OK(group.Barrier()->Wait());
    std::vector<float> data(3);
    if (group.rank() == GroupRank(1)) {
      while (gave_up.load() < size() - 1) std::this_thread::yield();
      const Status late =
          group.AllReduce(In(group, data), Out(group, data), Reduction::kSum)->Wait();
      // The others' calls had come long ago, so that it may have ended well before their error
      // came.
      if (!late.ok()) {
        EXPECT_THAT(late, StatusIs(Code::kDeadlineExceeded));
      }
      const Status later = group.Barrier()->Wait();
      EXPECT_THAT(later.root(), StatusIs(Code::kDeadlineExceeded, HasSubstr(GetParam().second_op)));
      return;
    }
    const auto work = group.AllReduce(In(group, data), Out(group, data), Reduction::kSum,
                                      {.timeout = seconds(2)});
    const Status status = work->Wait();
    EXPECT_THAT(status, StatusIs(Code::kDeadlineExceeded, HasSubstr(GetParam().never_called)));
    EXPECT_THAT(status, HasSubject(Rank(1)));
    EXPECT_THAT(status, Not(HasSubject(Rank(0))));
    EXPECT_EQ(work->state(), Work::State::kTimedOut);
    ++gave_up;
  });
}

TEST_P(WorkContractTest, AnOpBehindAnotherEndsByItsOwnDeadline) {
  const auto gang = NewGang();
  std::atomic<int> done{0};
  gang->Run([&](Group& group) {
    if (group.rank() != GroupRank(0)) {
      while (done.load() == 0) std::this_thread::yield();
      return;
    }
    const auto before = std::chrono::steady_clock::now();
    const auto first = group.Barrier({.timeout = seconds(600)});
    const auto second = group.Barrier({.timeout = milliseconds(50)});
    EXPECT_FALSE(second->Wait().ok());
    EXPECT_THAT(first->Wait(),
                StatusIs(Code::kDeadlineExceeded, HasSubstr(GetParam().second_ran_out + " 50ms")));
    EXPECT_LT(std::chrono::steady_clock::now() - before, seconds(10));
    done = 1;
  });
}

TEST_P(WorkContractTest, ATimeoutThatIsChangedBetweenOpsEndsTheNextOne) {
  const auto gang = NewGang();
  std::atomic<bool> done{false};
  gang->Run([&](Group& group) {
    ASSERT_OK(group.Barrier()->Wait());
    if (group.rank() != GroupRank(0)) {
      while (!done.load()) std::this_thread::yield();
      return;
    }
    group.SetTimeout(milliseconds(50));
    const auto before = std::chrono::steady_clock::now();
    EXPECT_THAT(group.Barrier()->Wait(), StatusIs(Code::kDeadlineExceeded, HasSubstr("50ms")));
    EXPECT_LT(std::chrono::steady_clock::now() - before, seconds(10));
    done = true;
  });
}

TEST_P(WorkContractTest, WaitForLeavesTheOpInFlight) {
  const auto gang = NewGang();
  std::atomic<bool> go{false};
  gang->Run([&](Group& group) {
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

TEST_P(FailureContractTest, ALeavingMemberFailsTheOthersAtOnce) {
  const auto gang = NewGang();
  RunLeaving(*gang, [](Group& group) {
    ASSERT_OK(group.Barrier()->Wait());
    if (group.rank() == GroupRank(1)) return;
    std::vector<float> data(100'000);
    const auto work = group.AllReduce(In(group, data), Out(group, data), Reduction::kSum,
                                      {.timeout = seconds(600)});
    const Status status = work->Wait();
    // Whether it was in flight when the error came, or begun afterwards.
    EXPECT_EQ(work->state(),
              status.cause() == nullptr ? Work::State::kRemoteError : Work::State::kAborted);
    EXPECT_THAT(status.root(), StatusIs(Code::kUnavailable, HasSubstr(GetParam().left)));
    EXPECT_EQ(status.root().failure_class(), base::FailureClass::kPeerDead);
    EXPECT_THAT(status.root(), HasSubject(Rank(1)));
  });
}

// Those who wait once looked at the missing members one after the other.
TEST_P(FailureContractTest, AMemberThatLeftIsNoticedWhileALowerOneIsLate) {
  const auto gang = NewGang();
  std::atomic<int> over{0};
  RunLeaving(*gang, [&](Group& group) {
    ASSERT_OK(group.Barrier()->Wait());
    if (group.rank() == GroupRank(1)) return;
    if (group.rank() == GroupRank(0)) {
      while (over.load() < size() - 2) std::this_thread::yield();  // all others: it leaves too
      return;
    }
    const Status status = group.Barrier({.timeout = seconds(600)})->Wait();
    EXPECT_THAT(status.root(), StatusIs(Code::kUnavailable, HasSubstr(GetParam().left)));
    EXPECT_THAT(status.root(), HasSubject(Rank(1)));
    EXPECT_THAT(status.root(), Not(HasSubject(Rank(0))));
    ++over;
  });
}

TEST_P(FailureContractTest, MembersMayEndAtDifferentTimesAfterTheLastOp) {
  for (int round = 0; round < 10; ++round) {
    const auto gang = NewGang();
    RunLeaving(*gang, [&](Group& group) {
      std::vector<float> data(50'000, 1.0f);
      EXPECT_OK(group.AllReduce(In(group, data), Out(group, data), Reduction::kSum)->Wait());
      EXPECT_EQ(data.back(), static_cast<float>(size()));
      EXPECT_OK(group.Barrier()->Wait());
    });
  }
}

// More than its timeout; the same without a phase is ThePassedDeadlineNamesTheRankThatNeverCalled.
TEST_P(FailureContractTest, ALongPhaseOfTheLateRankExtendsTheDeadline) {
  const auto gang = NewGang();
  std::atomic<bool> declared{false};
  gang->Run([&](Group& group) {
    ASSERT_OK(group.Barrier()->Wait());
    if (group.rank() == GroupRank(1)) {
      const LongPhase phase(group, seconds(60));
      declared = true;
      std::this_thread::sleep_for(milliseconds(3500));  // tidy:allow sleep: beyond the deadline
      EXPECT_OK(group.Barrier()->Wait());
      return;
    }
    while (!declared.load()) std::this_thread::yield();
    EXPECT_OK(group.Barrier({.timeout = seconds(3)})->Wait());
  });
}

TEST_P(FailureContractTest, AnAbortEndsEverythingOnAllMembers) {
  const auto gang = NewGang();
  gang->Run([](Group& group) {
    ASSERT_OK(group.Barrier()->Wait());
    if (group.rank() == GroupRank(0)) group.Abort(base::CancelledError("the user said so"));
    std::shared_ptr<Work> work;
    do {
      work = group.Barrier();
    } while (work->Wait().ok());
    EXPECT_EQ(work->state(), Work::State::kAborted);
    EXPECT_THAT(work->status().root(), StatusIs(Code::kAborted, HasSubstr("the user said so")));
  });
}

// A member that had ended an op once failed it on those that were not through with it.
TEST_P(AbortContractTest, AnAbortDoesNotTouchWhatHasEndedOnOneMember) {
  for (int round = 0; round < 20; ++round) {
    const auto gang = NewGang();
    gang->Run([](Group& group) {
      EXPECT_OK(group.Barrier()->Wait());
      group.Abort(base::CancelledError("enough"));
    });
  }
}

TEST_P(FailureContractTest, ATransferWithAMemberThatLeftFailsAtOnce) {
  for (const bool sends : {true, false}) {
    const auto gang = NewGang();
    RunLeaving(*gang, [&](Group& group) {
      ASSERT_OK(group.Barrier()->Wait());
      if (group.rank() == GroupRank(1)) return;
      std::vector<float> data(4'000'000);
      const OpOptions options{.timeout = seconds(600)};
      const Status status = (sends ? group.Send(In(group, data), GroupRank(1), options)
                                   : group.Recv(Out(group, data), GroupRank(1), options))
                                ->Wait();
      EXPECT_THAT(status.root(), StatusIs(Code::kUnavailable, HasSubstr(GetParam().left)));
      EXPECT_THAT(status.root(), HasSubject(Rank(1)));
    });
  }
}

TEST_P(WorkContractTest, WhatWasSentBeforeTheSenderLeftArrives) {
  const auto gang = NewGang();
  RunLeaving(*gang, [](Group& group) {
    std::vector<float> data(1000, static_cast<float>(group.rank().value()));
    if (group.rank() == GroupRank(1)) {
      EXPECT_OK(group.Send(In(group, data), GroupRank(0))->Wait());
    } else if (group.rank() == GroupRank(0)) {
      EXPECT_OK(group.Recv(Out(group, data), GroupRank(1))->Wait());
      EXPECT_EQ(data, std::vector<float>(1000, 1.0f));
    }
  });
}

TEST_P(FailureContractTest, DestructionEndsWhatIsInFlight) {
  const auto gang = NewGang();
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size(); ++rank) {
    threads.emplace_back([&, rank] {
      ASSERT_OK_AND_ASSIGN(auto group, gang->Join(rank));
      if (rank != 0) {
        EXPECT_THAT(group->Barrier({.timeout = seconds(600)})->Wait(), Not(IsOk()));
        return;
      }
      std::vector<float> data(9);
      const auto first = group->AllReduce(In(*group, data), Out(*group, data), Reduction::kSum);
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

TEST_P(WorkContractTest, AWorkOutlivesItsGroup) {
  const auto gang = NewGang();
  std::vector<std::shared_ptr<Work>> works(static_cast<size_t>(size()));
  gang->Run([&](Group& group) {
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

}  // namespace
}  // namespace lockstep::collectives::testing
