// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Of the contract of each op (ops_contract.h): sends and receives.
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <vector>

#include "collectives/group.h"
#include "collectives/testing/ops_contract.h"
#include "collectives/testing/ops_data.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives::testing {
namespace {

using base::Code;
using base::GroupRank;
using base::Status;
using base::testing::StatusIs;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

TEST_P(OpsContractTest, SendsMeetReceivesInTheOrderOfTheirPair) {
  Run([](Group& group) {
    if (Lacks(group, OpKind::kSend)) return;
    const int next = (group.rank().value() + 1) % group.size();
    const int previous = (group.rank().value() + group.size() - 1) % group.size();
    std::vector<std::unique_ptr<Guarded>> buffers;
    std::vector<std::shared_ptr<Work>> works;
    for (const size_t count : kCounts) {
      buffers.push_back(std::make_unique<Guarded>(count, Dtype::kF32));
      Fill(buffers.back()->buffer(), group.rank().value(), count);
      works.push_back(group.Send(buffers.back()->buffer(), GroupRank(next)));
    }
    for (const size_t count : kCounts) {
      Guarded got(count, Dtype::kF32);
      ASSERT_OK(group.Recv(got.buffer(), GroupRank(previous))->Wait()) << count;
      ExpectElements(
          got.buffer(), [&](size_t i) { return static_cast<double>(InputOf(previous, count + i)); },
          "received");
      ASSERT_TRUE(got.intact());
    }
    for (const auto& work : works) ASSERT_OK(work->Wait());
    EXPECT_EQ(works.back()->seq(), base::OpSeq(std::size(kCounts)));
  });
}

// Each sends to all and receives from all, sends first: without the batch it would be a deadlock
// wherever a send waits for its receive.
TEST_P(OpsContractTest, ABatchGoesOnAllAtOnce) {
  Run([](Group& group) {
    if (Lacks(group, OpKind::kSend)) return;
    const size_t count = 200'003;
    Guarded in(count, Dtype::kI32), out(count * SizeOf(group), Dtype::kI32);
    Fill(in.buffer(), group.rank().value());
    std::vector<Transfer> transfers;
    for (int r = 0; r < group.size(); ++r)
      transfers.push_back(Transfer::Send(in.buffer(), GroupRank(r)));
    for (int r = 0; r < group.size(); ++r) {
      transfers.push_back(
          Transfer::Recv(out.part(static_cast<size_t>(r) * count, count), GroupRank(r)));
    }
    const auto work = group.Batch(transfers);
    ASSERT_OK(work->Wait());
    ExpectElements(
        out.buffer(),
        [&](size_t i) {
          return static_cast<double>(InputOf(static_cast<int>(i / count), i % count));
        },
        "received");
    ASSERT_OK(group.Batch({})->Wait());
  });
}

TEST_P(OpsContractTest, TransfersAndCollectivesDoNotWaitForEachOther) {
  Run([](Group& group) {
    if (Lacks(group, OpKind::kSend) || group.size() < 2) return;
    Guarded data(100'000, Dtype::kF32);
    std::shared_ptr<Work> received;
    if (group.rank() == GroupRank(1))
      received = group.Recv(data.buffer(), GroupRank(0));  // before the barrier, sent after it
    ASSERT_OK(group.Barrier()->Wait());
    if (group.rank() == GroupRank(0)) {
      Fill(data.buffer(), 0);
      ASSERT_OK(group.Send(data.buffer(), GroupRank(1))->Wait());
    }
    if (received != nullptr) {
      ASSERT_OK(received->Wait());
      ExpectElements(
          data.buffer(), [](size_t i) { return static_cast<double>(InputOf(0, i)); }, "received");
    }
    ASSERT_OK(group.Barrier()->Wait());
  });
}

TEST_P(OpsContractTest, AReceiveThatNobodyWaitsForEndsAllTheSame) {
  Run([](Group& group) {
    if (Lacks(group, OpKind::kSend) || group.size() < 2) return;
    Cell<float> cell(Dtype::kF32, group.rank() == GroupRank(0) ? 3.0f : 0.0f);
    if (group.rank() == GroupRank(0)) {
      ASSERT_OK(group.Send(cell.buffer(), GroupRank(1))->Wait());
    } else if (group.rank() == GroupRank(1)) {
      const auto work = group.Recv(cell.buffer(), GroupRank(0));
      ASSERT_OK(work->WaitFor(seconds(30)));
      EXPECT_EQ(cell.value(), 3);
    }
    ASSERT_OK(group.Barrier()->Wait());
  });
}

TEST_P(OpsContractTest, ASendThatDoesNotFitItsReceiveIsAnErrorOfBoth) {
  Run([](Group& group) {
    if (Lacks(group, OpKind::kSend) || !group.capabilities().compares_calls || group.size() < 2)
      return;
    Guarded data(4, Dtype::kF32);
    if (group.rank() == GroupRank(0)) {
      (void)group.Send(data.buffer(), GroupRank(1))->Wait();
      const Status status = group.Barrier({.timeout = seconds(20)})->Wait();
      EXPECT_EQ(status.failure_class(), base::FailureClass::kUsage) << status.ToString();
    } else if (group.rank() == GroupRank(1)) {
      const Status status = group.Recv(data.part(0, 3), GroupRank(0))->Wait();
      EXPECT_THAT(status, StatusIs(Code::kFailedPrecondition, HasSubstr("met a send of 4 f32")));
      EXPECT_EQ(status.failure_class(), base::FailureClass::kUsage);
      EXPECT_FALSE(group.Barrier()->Wait().ok());
    } else {
      EXPECT_FALSE(group.Barrier()->Wait().ok());
    }
  });
}

TEST_P(OpsContractTest, AReceiveThatNobodySendsNamesTheSender) {
  Run([](Group& group) {
    if (Lacks(group, OpKind::kSend) || group.size() < 2) return;
    Guarded data(4, Dtype::kF32);
    if (group.rank() == GroupRank(1)) {
      const Status status =
          group.Recv(data.buffer(), GroupRank(0), {.timeout = milliseconds(50)})->Wait();
      EXPECT_THAT(status, StatusIs(Code::kDeadlineExceeded, HasSubstr("rank 0 never sent it")));
    }
    EXPECT_FALSE(group.Barrier({.timeout = seconds(20)})->Wait().ok());
  });
}

}  // namespace
}  // namespace lockstep::collectives::testing
