// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// What the contract suite cannot time: one member's ops against the other's, step by step.
#include "collectives/host/shm/shm_backend.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/syscall.h>

#include <cerrno>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "collectives/host/shm/local_segments.h"
#include "runtime/base/testing/refused_call.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives {
namespace {

using base::Code;
using base::GroupId;
using base::OpSeq;
using base::Rank;
using base::testing::HasSubject;
using base::testing::IsOk;
using base::testing::RefuseCall;
using base::testing::StatusIs;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

class ShmBackendTest : public ::testing::Test {
 protected:
  ShmBackendTest() {
    std::thread peer([this] { second_ = Join(1); });
    first_ = Join(0);
    peer.join();
  }

  std::unique_ptr<ShmBackend> Join(int member, GroupId group = {}) {
    return std::move(ShmBackend::Join({.group_name = "world",
                                       .group = group,
                                       .member = member,
                                       .world_ranks = {Rank(0), Rank(1)}},
                                      segments_, DeadlineIn(seconds(60))))
        .value();
  }

  // Valid until the test's end.
  const OpDeadline& DeadlineIn(base::Duration timeout, uint64_t seq = 0) {
    const std::lock_guard<std::mutex> lock(mutex_);
    OpDeadline& deadline = deadlines_.emplace_back(awake_);
    deadline.Set({.at = awake_.Now() + timeout, .seq = OpSeq(seq), .timeout = timeout});
    return deadline;
  }

  base::Status RunBarrier(ShmBackend& channel, uint64_t seq, base::Duration timeout = seconds(60)) {
    const Op op{.kind = OpKind::kBarrier, .timeout = timeout};
    return channel.Run(op, OpSeq(seq), {.deadline = DeadlineIn(timeout, seq)});
  }

  // Hands out what LocalSegments made, and lets the test look at it.
  class SeenSegments final : public SegmentSource {
   public:
    base::Result<std::shared_ptr<Segment>> Open(const SegmentRequest& request,
                                                base::Duration timeout) override {
      ASSIGN_OR_RETURN(auto opened, segments_.Open(request, timeout));
      const std::lock_guard<std::mutex> lock(mutex_);
      return segment_ = opened;
    }
    const std::shared_ptr<Segment>& segment() const { return segment_; }

   private:
    LocalSegments segments_;
    std::mutex mutex_;
    std::shared_ptr<Segment> segment_;
  };
  const std::shared_ptr<Segment>& segment() const { return segments_->segment(); }

  base::RealClock clock_;
  AwakeClock awake_{clock_};
  std::mutex mutex_;
  std::deque<OpDeadline> deadlines_;  // guarded by mutex_
  const std::shared_ptr<SeenSegments> segments_ = std::make_shared<SeenSegments>();
  std::unique_ptr<ShmBackend> first_, second_;
};

// A queued op of an interrupted member once arrived, over a line that the peer was still reading.
TEST_F(ShmBackendTest, AnInterruptedMemberArrivesAtNothingMore) {
  second_->Interrupt();
  EXPECT_THAT(RunBarrier(*second_, 1), StatusIs(Code::kAborted, HasSubstr("leaving")));

  const base::Status status = RunBarrier(*first_, 1, milliseconds(30));
  EXPECT_THAT(status, StatusIs(Code::kDeadlineExceeded, HasSubstr("never called")));
  EXPECT_THAT(status, HasSubject(Rank(1)));
}

TEST_F(ShmBackendTest, TheFirstErrorIsEverybodysAndStays) {
  first_->Poison(base::CancelledError("first reason"));
  second_->Poison(base::CancelledError("second reason"));

  for (ShmBackend* const channel : {first_.get(), second_.get()}) {
    const base::Status status = RunBarrier(*channel, 1);
    EXPECT_THAT(status, StatusIs(Code::kAborted));
    EXPECT_THAT(status.root(), StatusIs(Code::kAborted, HasSubstr("first reason")));
  }
}

TEST_F(ShmBackendTest, ALongWaitTellsWhomItIsFor) {
  int waited_for = -1;
  const Op op{.kind = OpKind::kBarrier};
  EXPECT_THAT(second_->Run(op, OpSeq(1),
                           {.deadline = DeadlineIn(milliseconds(50), 1),
                            .on_long_wait = [&](int member) { waited_for = member; }}),
              StatusIs(Code::kDeadlineExceeded));
  EXPECT_EQ(waited_for, 0);
}

// The message once named the op in progress and its ten minutes, after 50 ms.
TEST_F(ShmBackendTest, TheDeadlineMayMoveCloserWhileAnOpRunsAndIsNamedAsTheOtherOps) {
  const Op op{.kind = OpKind::kBarrier};
  OpDeadline deadline(awake_);
  deadline.Set({.at = awake_.Now() + seconds(600), .seq = OpSeq(1), .timeout = seconds(600)});
  const OpWatch watch{
      .deadline = deadline, .on_long_wait = [&](int) {
        deadline.BringForward({.at = awake_.Now(), .seq = OpSeq(4), .timeout = milliseconds(50)});
      }};
  EXPECT_THAT(
      first_->Run(op, OpSeq(1), watch),
      StatusIs(Code::kDeadlineExceeded, HasSubstr("holds up op 4, which ran out of its 50ms")));
}

// A code of 0 once aborted the process that read it, and a wrong member's number too.
TEST_F(ShmBackendTest, SharedMemoryThatAMemberWroteOverIsDataLoss) {
  auto* const control = reinterpret_cast<Control*>(segment()->data());
  control->poison = 77;
  EXPECT_THAT(RunBarrier(*first_, 1), StatusIs(Code::kAborted));
  EXPECT_THAT(RunBarrier(*first_, 1).root(),
              StatusIs(Code::kDataLoss, HasSubstr("names member 77 of 2")));

  control->poison = 2;
  SharedError& error =
      reinterpret_cast<MemberPage*>(segment()->data() + ShmLayout(2).page_offset(1))->error;
  for (const uint32_t code : {0u, 17u}) {
    error.code = code;
    EXPECT_THAT(RunBarrier(*first_, 1).root(),
                StatusIs(Code::kDataLoss, HasSubstr("code " + std::to_string(code))));
  }
  error.code = 4;
  error.failure_class = 99;
  EXPECT_THAT(RunBarrier(*first_, 1).root(), StatusIs(Code::kDataLoss, HasSubstr("class 99")));
  error.failure_class = 1;
  error.blamed_count = INT32_MAX;
  error.blamed[1].member = -5;
  EXPECT_THAT(RunBarrier(*first_, 1).root(), StatusIs(Code::kDeadlineExceeded));
}

/// Both members on one processor.
class SharedProcessorTest : public ShmBackendTest {
 protected:
  struct OneProcessor {
    OneProcessor() {
      ::sched_getaffinity(0, sizeof all, &all);
      cpu_set_t one;
      CPU_ZERO(&one);
      for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++cpu) {
        if (CPU_ISSET(cpu, &all)) CPU_SET(cpu, &one);
      }
      ::sched_setaffinity(0, sizeof one, &one);
    }
    ~OneProcessor() { ::sched_setaffinity(0, sizeof all, &all); }
    cpu_set_t all;
  };

  static constexpr size_t kCount = 200'001;  // 781 KiB

  SharedProcessorTest() {
    Rejoin(GroupId(7), [] {});
    for (size_t member = 0; member < 2; ++member) {
      in_[member].resize(2 * kCount);
      out_[member].resize(2 * kCount);
      for (size_t i = 0; i < in_[member].size(); ++i)
        in_[member][i] = static_cast<float>(i % 1000 + member);
    }
  }

  /// Both members anew; `before` in the second one's thread.
  void Rejoin(GroupId group, const std::function<void()>& before) {
    first_.reset();
    second_.reset();
    const OneProcessor one;  // a member's thread has it from here
    std::thread peer([&] {
      before();
      second_ = Join(1, group);
    });
    first_ = Join(0, group);
    peer.join();
  }

  bool Fetches(const ShmBackend& channel) const {
    return channel.Explain(OpKind::kAllGather, Dtype::kF32, kCount).find("process_vm_readv") !=
           std::string::npos;
  }

  base::Status Gather(ShmBackend& channel, size_t member) {
    return Run(channel, member, OpKind::kAllGather, 1);
  }

  base::Status Run(ShmBackend& channel, size_t member, OpKind kind, uint64_t seq) {
    const Op op{.kind = kind,
                .dtype = Dtype::kF32,
                .reduction = kind == OpKind::kAllReduce ? Reduction::kSum : Reduction::kNone,
                .peer = 1,
                .in = reinterpret_cast<const std::byte*>(in_[member].data()),
                .out = reinterpret_cast<std::byte*>(out_[member].data()),
                .count = kCount,
                .timeout = seconds(60)};
    return channel.Run(op, OpSeq(seq), {.deadline = DeadlineIn(seconds(60), seq)});
  }

  void ExpectAll() const {
    for (const std::vector<float>& out : out_) {
      for (size_t i = 0; i < out.size(); ++i) ASSERT_EQ(out[i], in_[i / kCount][i % kCount]) << i;
    }
  }

  std::vector<float> in_[2], out_[2];
};

TEST_F(SharedProcessorTest, WhatIsCopiedAloneIsFetchedFromTheOthersMemory) {
  if (!Fetches(*first_)) GTEST_SKIP() << "process_vm_readv is not allowed here";
  base::Status second;
  std::thread peer([&] { second = Gather(*second_, 1); });
  EXPECT_THAT(Gather(*first_, 0), IsOk());
  peer.join();

  EXPECT_THAT(second, IsOk());
  ExpectAll();
}

TEST_F(SharedProcessorTest, EachGetsItsPartOfWhatIsFetched) {
  if (!Fetches(*first_)) GTEST_SKIP() << "process_vm_readv is not allowed here";
  const auto run = [this](OpKind kind, uint64_t seq) {
    for (std::vector<float>& out : out_) std::fill(out.begin(), out.end(), -1.0f);
    base::Status second;
    std::thread peer([&] { second = Run(*second_, 1, kind, seq); });
    EXPECT_THAT(Run(*first_, 0, kind, seq), IsOk());
    peer.join();
    EXPECT_THAT(second, IsOk());
  };
  const auto part = [](const std::vector<float>& all, size_t which) {
    const auto begin = all.begin() + static_cast<ptrdiff_t>(which * kCount);
    return std::vector<float>(begin, begin + static_cast<ptrdiff_t>(kCount));
  };
  for (const OpKind kind : {OpKind::kGather, OpKind::kScatter, OpKind::kAllToAll}) {
    EXPECT_THAT(first_->Explain(kind, Dtype::kF32, kCount), HasSubstr("process_vm_readv"));
  }

  run(OpKind::kGather, 1);
  for (const size_t from : {0, 1}) EXPECT_TRUE(part(out_[1], from) == part(in_[from], 0)) << from;
  run(OpKind::kScatter, 2);
  for (const size_t to : {0, 1}) EXPECT_TRUE(part(out_[to], 0) == part(in_[1], to)) << to;
  run(OpKind::kAllToAll, 3);
  for (const size_t to : {0, 1}) {
    for (const size_t from : {0, 1})
      EXPECT_TRUE(part(out_[to], from) == part(in_[from], to)) << from << " to " << to;
  }
}

// As a container's filter or ptrace_scope makes it: one member is enough.
TEST_F(SharedProcessorTest, WhereOneMayNotReadTheOthersMemoryAllStage) {
  Rejoin(GroupId(8), [] {
    if (!RefuseCall(SYS_process_vm_readv, EPERM)) ADD_FAILURE() << "no filters here";
  });

  EXPECT_FALSE(Fetches(*first_));
  EXPECT_FALSE(Fetches(*second_));

  base::Status second;
  std::thread peer([&] { second = Gather(*second_, 1); });
  EXPECT_THAT(Gather(*first_, 0), IsOk());
  peer.join();
  EXPECT_THAT(second, IsOk());
  ExpectAll();
}

TEST_F(SharedProcessorTest, APermissionThatIsTakenAwayLaterIsEverybodysErrorAtOnce) {
  if (!Fetches(*first_)) GTEST_SKIP() << "process_vm_readv is not allowed here";
  base::Status second;
  std::thread peer([&] {
    ASSERT_THAT(Gather(*second_, 1), IsOk());
    if (RefuseCall(SYS_process_vm_readv, EPERM)) second = Run(*second_, 1, OpKind::kAllGather, 2);
  });
  ASSERT_THAT(Gather(*first_, 0), IsOk());
  const base::Status first = Run(*first_, 0, OpKind::kAllGather, 2);
  peer.join();

  EXPECT_THAT(second, StatusIs(Code::kPermissionDenied, HasSubstr("process_vm_readv")));
  EXPECT_THAT(first, StatusIs(Code::kPermissionDenied));
  EXPECT_EQ(first.message(), second.message());
}

// Which shows that all_reduce tries it.
TEST_F(SharedProcessorTest, AnAllReduceThatMayNoLongerFetchIsEverybodysError) {
  if (!Fetches(*first_)) GTEST_SKIP() << "process_vm_readv is not allowed here";
  constexpr uint64_t kTries = 100;
  const auto run = [this](ShmBackend& channel, size_t member) {
    base::Status status = Run(channel, member, OpKind::kAllReduce, 1);
    if (member == 1 && !RefuseCall(SYS_process_vm_readv, EPERM)) return status;
    for (uint64_t seq = 2; seq <= kTries && status.ok(); ++seq)
      status = Run(channel, member, OpKind::kAllReduce, seq);
    return status;
  };
  base::Status second;
  std::thread peer([&] { second = run(*second_, 1); });
  const base::Status first = run(*first_, 0);
  peer.join();

  EXPECT_THAT(second, StatusIs(Code::kPermissionDenied, HasSubstr("process_vm_readv")));
  EXPECT_EQ(first.message(), second.message());
}

// As a device's memory that is mapped: it cannot be read so.
TEST_F(SharedProcessorTest, WhereABufferCannotBeReadSoAllStage) {
  if (!Fetches(*first_)) GTEST_SKIP() << "process_vm_readv is not allowed here";
  constexpr uint64_t kTries = 60;
  const auto run = [this](ShmBackend& channel, size_t member) {
    base::Status status;
    for (uint64_t seq = 1; seq <= kTries && status.ok(); ++seq)
      status = Run(channel, member, seq % 8 == 0 ? OpKind::kAllGather : OpKind::kAllReduce, seq);
    return status;
  };
  base::Status second;
  std::thread peer([&] {
    if (RefuseCall(SYS_process_vm_readv, EFAULT)) second = run(*second_, 1);
  });
  EXPECT_THAT(run(*first_, 0), IsOk());
  peer.join();

  EXPECT_THAT(second, IsOk());
  for (const std::vector<float>& out : out_) {
    for (size_t i = 0; i < kCount; ++i) ASSERT_EQ(out[i], in_[0][i] + in_[1][i]) << i;
  }
}

}  // namespace
}  // namespace lockstep::collectives
