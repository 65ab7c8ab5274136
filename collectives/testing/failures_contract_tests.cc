// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// What collectives/group.h promises about failures, as tests that the tests of backends whose members
// reach each other by messages compile in; ranks are threads.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "collectives/testing/failures_contract.h"
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

ConstBuffer In(const std::vector<float>& data) { return {data.data(), data.size()}; }
Buffer Out(std::vector<float>& data) { return {data.data(), data.size()}; }

TEST_P(FailuresContractTest, AMismatchIsTheSameErrorOnEveryMemberAndBlamesTheMinority) {
  for (const size_t count : {size_t{4}, size_t{300'000}}) {
    for (const bool other_kind : {true, false}) {
      ThreadGang gang(size(), Maker());
      std::mutex mutex;
      std::set<std::string> messages;
      gang.Run([&](Group& group) {
        std::vector<float> data(count, 3.0f);
        const bool guilty = group.rank().value() == size() - 1;
        ASSERT_OK(group.Barrier()->Wait());
        const size_t mine = count - (guilty ? 1 : 0);
        const Status status =
            guilty && other_kind
                ? group.Barrier()->Wait()
                : group.AllReduce({data.data(), mine}, {data.data(), mine}, Reduction::kSum)
                      ->Wait();
        EXPECT_THAT(status, StatusIs(Code::kFailedPrecondition, HasSubstr("disagree on op 2")));
        EXPECT_EQ(status.failure_class(), base::FailureClass::kUsage);
        EXPECT_THAT(status, HasSubject(Rank(size() - 1)));
        if (size() > 2) {
          EXPECT_THAT(status, Not(HasSubject(Rank(0))));
        }
        EXPECT_THAT(status.subjects().back().call_site, HasSubstr("failures_contract_tests.cc:"));
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

TEST_P(FailuresContractTest, ThePassedDeadlineNamesTheRankThatNeverCalled) {
  ThreadGang gang(size(), Maker());
  std::atomic<int> gave_up{0};
  gang.Run([&](Group& group) {
    ASSERT_OK(group.Barrier()->Wait());
    std::vector<float> data(3);
    if (group.rank() == GroupRank(1)) {
      while (gave_up.load() < size() - 1) std::this_thread::yield();
      const Status late = group.AllReduce(In(data), Out(data), Reduction::kSum)->Wait();
      // The others' calls had come long ago, so that it may have ended well before their error came.
      if (!late.ok()) {
        EXPECT_THAT(late, StatusIs(Code::kDeadlineExceeded));  // the same op, the same error
      }
      const Status later = group.Barrier()->Wait();
      EXPECT_THAT(later.root(), StatusIs(Code::kDeadlineExceeded, HasSubstr("op 2 of group")));
      return;
    }
    const auto work =
        group.AllReduce(In(data), Out(data), Reduction::kSum, {.timeout = milliseconds(500)});
    const Status status = work->Wait();
    EXPECT_THAT(status, StatusIs(Code::kDeadlineExceeded, HasSubstr("rank 1 never called it")));
    EXPECT_THAT(status, HasSubject(Rank(1)));
    EXPECT_THAT(status, Not(HasSubject(Rank(0))));
    ++gave_up;
  });
}

TEST_P(FailuresContractTest, ALongPhaseOfTheLateRankExtendsTheDeadline) {
  ThreadGang gang(size(), Maker());
  std::atomic<bool> declared{false};
  gang.Run([&](Group& group) {
    ASSERT_OK(group.Barrier()->Wait());
    if (group.rank() == GroupRank(1)) {
      const LongPhase phase(group, seconds(60));
      declared = true;
      std::this_thread::sleep_for(milliseconds(1200));  // tidy:allow sleep: beyond the deadline
      EXPECT_OK(group.Barrier()->Wait());
      return;
    }
    while (!declared.load()) std::this_thread::yield();
    EXPECT_OK(group.Barrier({.timeout = milliseconds(500)})->Wait());
  });
}

TEST_P(FailuresContractTest, ALeavingMemberFailsTheOthersAtOnce) {
  ThreadGang gang(size(), Maker());
  RunLeaving(gang, [](Group& group) {
    ASSERT_OK(group.Barrier()->Wait());
    if (group.rank() == GroupRank(1)) return;
    std::vector<float> data(100'000);
    const Status status =
        group.AllReduce(In(data), Out(data), Reduction::kSum, {.timeout = seconds(600)})->Wait();
    EXPECT_THAT(status.root(), StatusIs(Code::kUnavailable, HasSubstr("left the group")));
    EXPECT_EQ(status.root().failure_class(), base::FailureClass::kPeerDead);
    EXPECT_THAT(status.root(), HasSubject(Rank(1)));
  });
}

TEST_P(FailuresContractTest, AMemberThatLeftIsNoticedWhileALowerOneIsLate) {
  ThreadGang gang(size(), Maker());
  std::atomic<int> over{0};
  RunLeaving(gang, [&](Group& group) {
    ASSERT_OK(group.Barrier()->Wait());
    if (group.rank() == GroupRank(1)) return;
    if (group.rank() == GroupRank(0)) {
      while (over.load() < size() - 2) std::this_thread::yield();  // all others: it leaves too
      return;
    }
    const Status status = group.Barrier({.timeout = seconds(600)})->Wait();
    EXPECT_THAT(status.root(), StatusIs(Code::kUnavailable, HasSubstr("left the group")));
    EXPECT_THAT(status.root(), HasSubject(Rank(1)));
    EXPECT_THAT(status.root(), Not(HasSubject(Rank(0))));
    ++over;
  });
}

TEST_P(FailuresContractTest, MembersMayEndAtDifferentTimesAfterTheLastOp) {
  for (int round = 0; round < 10; ++round) {
    ThreadGang gang(size(), Maker());
    RunLeaving(gang, [&](Group& group) {
      std::vector<float> data(50'000, 1.0f);
      EXPECT_OK(group.AllReduce(In(data), Out(data), Reduction::kSum)->Wait());
      EXPECT_EQ(data.back(), static_cast<float>(size()));
      EXPECT_OK(group.Barrier()->Wait());
    });
  }
}

TEST_P(FailuresContractTest, AnAbortEndsEverythingOnAllMembers) {
  ThreadGang gang(size(), Maker());
  gang.Run([](Group& group) {
    ASSERT_OK(group.Barrier()->Wait());
    if (group.rank() == GroupRank(0)) group.Abort(base::CancelledError("the user said so"));
    Status status;
    do {
      status = group.Barrier()->Wait();
    } while (status.ok());
    EXPECT_THAT(status.root(), StatusIs(Code::kAborted, HasSubstr("the user said so")));
  });
}

// A member that had ended an op once failed it on those that were not through with it.
TEST_P(FailuresContractTest, AnAbortDoesNotTouchWhatHasEndedOnOneMember) {
  for (int round = 0; round < 20; ++round) {
    ThreadGang gang(size(), Maker());
    gang.Run([](Group& group) {
      EXPECT_OK(group.Barrier()->Wait());
      group.Abort(base::CancelledError("enough"));
    });
  }
}

TEST_P(FailuresContractTest, AMissingMemberIsNamedWhenTheGroupDoesNotForm) {
  ThreadGang gang(size(), Maker());
  gang.join_timeout = milliseconds(50);
  std::vector<std::thread> threads;
  for (int rank = 0; rank + 1 < size(); ++rank) {
    threads.emplace_back([&, rank] {
      const auto group = gang.Join(rank);
      EXPECT_THAT(group, StatusIs(Code::kDeadlineExceeded, HasSubstr("never came within 50ms")));
      EXPECT_THAT(group, HasSubject(Rank(size() - 1)));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(gang.Join(size() - 1), StatusIs(Code::kDeadlineExceeded));  // too late for that one
  gang.join_timeout = seconds(60);
  gang.Run([](Group& group) { EXPECT_OK(group.Barrier()->Wait()); });
}

TEST_P(FailuresContractTest, ATransferWithAMemberThatLeftFailsAtOnce) {
  for (const bool sends : {true, false}) {
    ThreadGang gang(size(), Maker());
    RunLeaving(gang, [&](Group& group) {
      ASSERT_OK(group.Barrier()->Wait());
      if (group.rank() == GroupRank(1)) return;
      std::vector<float> data(4'000'000);
      const OpOptions options{.timeout = seconds(600)};
      const Status status = (sends ? group.Send(In(data), GroupRank(1), options)
                                   : group.Recv(Out(data), GroupRank(1), options))
                                ->Wait();
      EXPECT_THAT(status.root(), StatusIs(Code::kUnavailable, HasSubstr("left the group")));
      EXPECT_THAT(status.root(), HasSubject(Rank(1)));
    });
  }
}

TEST_P(FailuresContractTest, WhatWasSentBeforeTheSenderLeftArrives) {
  ThreadGang gang(size(), Maker());
  RunLeaving(gang, [](Group& group) {
    std::vector<float> data(1000, static_cast<float>(group.rank().value()));
    if (group.rank() == GroupRank(1)) {
      EXPECT_OK(group.Send(In(data), GroupRank(0))->Wait());
    } else if (group.rank() == GroupRank(0)) {
      EXPECT_OK(group.Recv(Out(data), GroupRank(1))->Wait());
      EXPECT_EQ(data, std::vector<float>(1000, 1.0f));
    }
  });
}

// After any single fault every Work of every survivor ends, within its deadline and a second.
TEST_P(FailuresContractTest, NobodyWaitsBeyondTheDeadlineWhateverOneRankDoes) {
  enum Fault { kNeverCalls, kAborts, kLeaves, kDisagrees, kFaults };
  for (uint64_t seed = 0; seed < 6; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    base::Random random(seed);
    const int guilty = static_cast<int>(random.Below(static_cast<uint64_t>(size())));
    const int fault = static_cast<int>(random.Below(kFaults));
    const int fault_at = static_cast<int>(random.Below(6));
    const size_t count = random.Below(2) == 0 ? 10 : 80'000;
    const base::Duration timeout = milliseconds(300);

    ThreadGang gang(size(), Maker());
    gang.timeout = timeout;
    std::atomic<int> survivors_done{0};
    std::vector<std::thread> threads;
    for (int rank = 0; rank < size(); ++rank) {
      threads.emplace_back([&, rank] {
        std::vector<std::vector<float>> buffers(8, std::vector<float>(count, 1.0f));
        ASSERT_OK_AND_ASSIGN(auto group, gang.Join(rank));
        std::vector<std::shared_ptr<Work>> works;
        for (int op = 0; op < 8; ++op) {
          auto& data = buffers[static_cast<size_t>(op)];
          if (rank == guilty && op == fault_at) {
            if (fault == kNeverCalls) {
              while (survivors_done.load() < size() - 1) std::this_thread::yield();
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
            EXPECT_EQ(buffers[i].back(), static_cast<float>(size()));
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
}  // namespace lockstep::collectives::testing
