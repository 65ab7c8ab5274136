// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// What a group makes of each fault that the fake NCCL can show (testing/fake_nccl_faults.h):
// whatever happens, every Work ends within its deadline and a second. nccl_exit_test has those that
// a process ends of.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "collectives/nccl/testing/nccl_gang.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives::testing {
namespace {

using base::Code;
using base::FailureClass;
using base::GroupRank;
using base::Rank;
using base::Status;
using base::testing::HasSubject;
using base::testing::StatusIs;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

constexpr base::Duration kDeadline = milliseconds(300);

base::SteadyTime Now() { return base::RealClock().Now(); }

/// Each test's own gang of ranks on the fake of a version.
struct Setting {
  std::string version;
  bool over_tcp = false;  // members meet as those of several machines do
};

class NcclFaultsTest : public ::testing::TestWithParam<Setting> {
 protected:
  NcclFaultsTest() : fake_(GetParam().version), gang_(3, fake_.Load()) {
    fake_.Script("");
    if (GetParam().over_tcp) gang_.runtime_config.boards = LocalTcpBoards();
    gang_.timeout = kDeadline;
  }
  ~NcclFaultsTest() override { fake_.Script(""); }

  /// `count` all_reduces on rank's member; the status of the last.
  Status AllReduces(Group& group, int count) {
    const std::shared_ptr<std::byte> memory = gang_.Allocate(4096);
    Status status;
    for (int i = 0; i < count && status.ok(); ++i) {
      const Buffer buffer{memory.get(), 1024, Dtype::kF32, gang_.device()};
      const auto work = group.AllReduce(buffer, buffer, Reduction::kSum);
      const base::SteadyTime called = Now();
      status = work->Wait();
      EXPECT_LT(Now() - called, kDeadline + seconds(1));
      EXPECT_TRUE(work->done());
    }
    return status;
  }
  /// What `count` all_reduces end with, by rank.
  std::vector<Status> AllReducesOfAll(int count) {
    std::vector<Status> ends(3);
    gang_.Run([&](Group& group) {
      ends[static_cast<size_t>(group.rank().value())] = AllReduces(group, count);
    });
    return ends;
  }

  const FakeGpu fake_;
  NcclGang gang_;
};

INSTANTIATE_TEST_SUITE_P(Fake, NcclFaultsTest,
                         ::testing::Values(Setting{"2_14"}, Setting{"2_27"}, Setting{"2_30"},
                                           Setting{"2_14", true}, Setting{"2_30", true}),
                         [](const auto& setting) {
                           return (setting.param.over_tcp ? "NcclOverTcp" : "Nccl") +
                                  setting.param.version;
                         });

TEST_P(NcclFaultsTest, AnInitThatNeverCompletesEndsAtItsDeadline) {
  fake_.Script("init_never=1");
  gang_.join_timeout = kDeadline;
  (void)gang_.runtime();
  std::vector<std::thread> ranks;
  for (int rank = 0; rank < 3; ++rank) {
    ranks.emplace_back([this, rank] {
      const base::SteadyTime called = Now();
      const auto group = gang_.Join(rank);
      EXPECT_THAT(group, StatusIs(Code::kDeadlineExceeded, HasSubstr("all members came")));
      EXPECT_LT(Now() - called, kDeadline + seconds(1));
    });
  }
  for (std::thread& rank : ranks) rank.join();
}

TEST_P(NcclFaultsTest, AnInitNamesWhoDidNotCome) {
  gang_.join_timeout = kDeadline;
  (void)gang_.runtime();
  std::vector<std::thread> ranks;
  for (const int rank : {0, 2}) {
    ranks.emplace_back([this, rank] {
      const auto group = gang_.Join(rank);
      EXPECT_THAT(group, StatusIs(Code::kDeadlineExceeded,
                                  HasSubstr(GetParam().over_tcp ? " never came within 300ms"
                                                                : "never came: rank 1")));
      EXPECT_THAT(group.status(), HasSubject(Rank(1)));
      EXPECT_EQ(group.status().failure_class(), FailureClass::kPeerStalled);
    });
  }
  for (std::thread& rank : ranks) rank.join();
}

TEST_P(NcclFaultsTest, ALaunchThatStaysInProgressEndsAtItsDeadline) {
  fake_.Script("in_progress=1:2");
  for (const Status& end : AllReducesOfAll(5)) {
    EXPECT_THAT(end.root(),
                StatusIs(Code::kDeadlineExceeded, HasSubstr("number 3 of group world")));
  }
}

TEST_P(NcclFaultsTest, AnAsyncErrorFailsAllMembersWithItsReason) {
  fake_.Script("async_error=2:3");
  gang_.timeout = seconds(30);
  const base::SteadyTime called = Now();
  for (const Status& end : AllReducesOfAll(5)) {
    EXPECT_THAT(end.root(), StatusIs(Code::kUnavailable, HasSubstr("result 6")));
    EXPECT_THAT(end.root().message(), HasSubstr("said by the fake"));
    EXPECT_EQ(end.root().failure_class(), FailureClass::kPeerDead);
  }
  EXPECT_LT(Now() - called, seconds(10));
}

TEST_P(NcclFaultsTest, ARankThatNeverCallsIsBlamed) {
  gang_.Run([&](Group& group) {
    if (group.rank() == GroupRank(1)) return;
    const Status end = AllReduces(group, 1);
    EXPECT_THAT(end, StatusIs(Code::kDeadlineExceeded, HasSubstr("never called by rank 1")));
    EXPECT_THAT(end, HasSubject(Rank(1)));
    EXPECT_EQ(end.failure_class(), FailureClass::kPeerStalled);
    EXPECT_THAT(group.Barrier()->Wait(), StatusIs(Code::kAborted));
  });
}

TEST_P(NcclFaultsTest, ComparedCallsThatDifferAreOneErrorOnAllAndTouchNothing) {
  gang_.check_calls = true;
  gang_.timeout = seconds(30);
  gang_.Run([&](Group& group) {
    const std::shared_ptr<std::byte> memory = gang_.Allocate(64);
    std::memset(memory.get(), 1, 64);
    const Buffer buffer{memory.get(), 16, Dtype::kI32, gang_.device()};
    for (int i = 0; i < 3; ++i) ASSERT_OK(group.AllReduce(buffer, buffer, Reduction::kMax)->Wait());
    const Reduction differs = group.rank() == GroupRank(1) ? Reduction::kMin : Reduction::kMax;
    const Status end = group.AllReduce(buffer, buffer, differs)->Wait();
    EXPECT_THAT(end,
                StatusIs(Code::kFailedPrecondition,
                         HasSubstr("the members disagree on op 4 of group world: ranks 0, 2 "
                                   "called all_reduce(i32, max, 16) at nccl_faults_test.cc:")));
    EXPECT_THAT(end.message(), HasSubstr("; rank 1 called all_reduce(i32, min, 16) at"));
    EXPECT_THAT(end, HasSubject(Rank(1)));
    EXPECT_EQ(end.failure_class(), FailureClass::kUsage);
    for (int i = 0; i < 64; ++i) EXPECT_EQ(memory.get()[i], std::byte{1});
    EXPECT_THAT(group.Barrier()->Wait(), StatusIs(Code::kAborted));
  });
}

// In another order, and by one that runs far ahead.
TEST_P(NcclFaultsTest, ComparedCallsInAnotherOrderAreNamed) {
  gang_.check_calls = true;
  gang_.timeout = seconds(30);
  gang_.Run([&](Group& group) {
    const std::shared_ptr<std::byte> memory = gang_.Allocate(64);
    std::memset(memory.get(), 0, 64);
    const Buffer buffer{memory.get(), 16, Dtype::kI32, gang_.device()};
    const int root_of_op_500 = group.rank() == GroupRank(2) ? 1 : 0;
    std::vector<std::shared_ptr<Work>> works;
    for (int i = 1; i <= 600; ++i)
      works.push_back(group.Broadcast(buffer, GroupRank(i == 500 ? root_of_op_500 : 0)));
    for (int i = 1; i < 500; ++i) ASSERT_OK(works[static_cast<size_t>(i - 1)]->Wait());
    EXPECT_THAT(works[499]->Wait(),
                StatusIs(Code::kFailedPrecondition, HasSubstr("the members disagree on op 500")));
    EXPECT_THAT(works[599]->Wait(), StatusIs(Code::kAborted));
  });
}

TEST_P(NcclFaultsTest, ALongPhaseIsNoStall) {
  gang_.Run([&](Group& group) {
    if (group.rank() == GroupRank(1)) {
      const LongPhase phase(group, seconds(20));
      // The others' deadline passes meanwhile.
      const base::SteadyTime until = Now() + 2 * kDeadline;
      while (Now() < until) std::this_thread::yield();
      ASSERT_OK(group.Barrier()->Wait());
    } else {
      ASSERT_OK(group.Barrier()->Wait());
    }
  });
}

TEST_P(NcclFaultsTest, AbortsOfAllMembersRunTogether) {
  fake_.Script("abort_crashes=0 in_progress=1:1");  // would end this process
  for (const Status& end : AllReducesOfAll(3)) EXPECT_FALSE(end.ok());
}

TEST_P(NcclFaultsTest, AWrongResultIsNotOurs) {
  fake_.Script("wrong_result=1");
  gang_.Run([&](Group& group) {
    const std::shared_ptr<std::byte> memory = gang_.Allocate(4);
    std::memset(memory.get(), 1, 4);
    const Buffer buffer{memory.get(), 1, Dtype::kI32, gang_.device()};
    ASSERT_OK(group.AllReduce(buffer, buffer, Reduction::kMax)->Wait());
    int32_t value = 0;
    std::memcpy(&value, memory.get(), 4);
    EXPECT_EQ(value == 0x01010101, group.rank() != GroupRank(1));
  });
}

TEST_P(NcclFaultsTest, ALeaverIsNamed) {
  gang_.timeout = seconds(30);
  (void)gang_.runtime();
  std::vector<std::thread> ranks;
  for (int rank = 0; rank < 3; ++rank) {
    ranks.emplace_back([this, rank] {
      auto group = gang_.Join(rank);
      ASSERT_OK(group);
      if (rank == 2) return;  // drops it
      EXPECT_THAT((*group)->Barrier()->Wait().root(),
                  StatusIs(Code::kUnavailable, HasSubstr("rank 2 has dropped group world")));
    });
  }
  for (std::thread& rank : ranks) rank.join();
}

// It had called the op; the others once waited for it until their deadline.
TEST_P(NcclFaultsTest, WhoDropsAGroupInTheMiddleOfAnOpIsNamed) {
  gang_.timeout = seconds(60);
  (void)gang_.runtime();
  std::atomic<bool> dropped{false};
  std::vector<std::thread> ranks;
  for (int rank = 0; rank < 3; ++rank) {
    ranks.emplace_back([this, rank, &dropped] {
      auto group = gang_.Join(rank);
      ASSERT_OK(group);
      if (rank == 0) {
        const auto work = (*group)->Barrier();
        group->reset();
        EXPECT_THAT(work->Wait(), StatusIs(Code::kAborted, HasSubstr("was destroyed")));
        dropped = true;
        return;
      }
      while (rank == 2 && !dropped) std::this_thread::yield();  // so that it cannot have ended
      const base::SteadyTime called = Now();
      const Status end = (*group)->Barrier()->Wait().root();
      EXPECT_THAT(end, StatusIs(Code::kUnavailable, HasSubstr("rank 0 has dropped group world")));
      EXPECT_THAT(end, HasSubject(Rank(0)));
      EXPECT_LT(Now() - called, seconds(30));
    });
  }
  for (std::thread& rank : ranks) rank.join();
}

// Once only the first of them, by its rank alone.
TEST_P(NcclFaultsTest, WhoHearsOfAnErrorKnowsAllThatItBlamesAndTheOp) {
  std::atomic<bool> gave_up{false};
  gang_.Run([&](Group& group) {
    while (group.rank() != GroupRank(0) && !gave_up) std::this_thread::yield();
    const Status end = group.Barrier()->Wait();
    gave_up = true;
    EXPECT_THAT(end, StatusIs(Code::kDeadlineExceeded, HasSubstr("never called by ranks 1, 2")));
    ASSERT_EQ(end.subjects().size(), 2u);
    for (const int blamed : {1, 2}) {
      const base::Subject& subject = end.subjects()[static_cast<size_t>(blamed - 1)];
      EXPECT_EQ(subject.rank, Rank(blamed));
      EXPECT_EQ(subject.host, "here");
      EXPECT_EQ(subject.pid, getpid());
    }
    ASSERT_TRUE(end.op().has_value());
    EXPECT_EQ(end.op()->seq, base::OpSeq(1));
    EXPECT_EQ(end.op()->group, group.info().id);
    EXPECT_THAT(end.op()->kind, HasSubstr("barrier"));
  });
}

TEST_P(NcclFaultsTest, CallbacksRunOnceWithTheEnd) {
  std::atomic<int> calls{0};
  gang_.Run([&](Group& group) {
    if (group.rank() == GroupRank(1)) return;
    const auto work = group.Barrier();
    work->OnComplete([&](const Status& status) {
      EXPECT_THAT(status.root(), StatusIs(Code::kDeadlineExceeded));
      ++calls;
    });
    EXPECT_FALSE(work->Wait().ok());
  });
  const base::SteadyTime until = Now() + seconds(10);
  while (calls.load() < 2 && Now() < until) std::this_thread::yield();
  EXPECT_EQ(calls.load(), 2);
}

TEST_P(NcclFaultsTest, CallsAreAwaitedForAsLongAsIsSaid) {
  NcclRuntime& runtime = *gang_.runtime();
  EXPECT_TRUE(runtime.AwaitIdle(seconds(20)));  // the threads have had their first look
  std::promise<void> ends;
  runtime.Start("waiting", NcclRuntime::Limit::kNone, [&] { ends.get_future().wait(); });
  EXPECT_FALSE(runtime.AwaitIdle(milliseconds(10)));
  ends.set_value();
  EXPECT_TRUE(runtime.AwaitIdle(seconds(20)));
}

TEST_P(NcclFaultsTest, NothingIsLeftOfGroupsThatAreGone) {
  const auto objects = [this] { return fake_.Objects(); };
  gang_.timeout = seconds(30);
  for (const char* const script : {"", "async_error=1:1"}) {
    fake_.Script(script);
    const int before = objects();
    {
      NcclGang gang(2, fake_.Load());
      if (GetParam().over_tcp) gang.runtime_config.boards = LocalTcpBoards();
      gang.timeout = seconds(30);
      gang.Run([&](Group& group) {
        const std::shared_ptr<std::byte> memory = gang.Allocate(64);
        const Buffer buffer{memory.get(), 16, Dtype::kF32, gang.device()};
        for (int i = 0; i < 3; ++i) (void)group.AllReduce(buffer, buffer, Reduction::kSum)->Wait();
        const GroupRank other(1 - group.rank().value());
        const std::shared_ptr<std::byte> received = gang.Allocate(64);
        const Transfer both[] = {
            Transfer::Send(buffer, other),
            Transfer::Recv({received.get(), 16, Dtype::kF32, gang.device()}, other)};
        (void)group.Batch(both)->Wait();
      });
      EXPECT_TRUE(gang.runtime()->AwaitIdle(seconds(20))) << script;
    }
    EXPECT_EQ(objects(), before) << script;
  }
}

}  // namespace
}  // namespace lockstep::collectives::testing
