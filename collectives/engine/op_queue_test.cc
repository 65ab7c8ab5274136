// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// What the contract suite cannot see of the queue: its limit, and how often its thread wakes.
#include "collectives/engine/op_queue.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <string>
#include <thread>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class OpQueueTest : public ::testing::Test {
 protected:
  ~OpQueueTest() override {
    if (queue_ != nullptr) queue_->Close(base::CancelledError("the test is over"));
  }

  void Start(OpQueue::Execute execute) {
    queue_ = std::make_shared<OpQueue>(
        std::move(execute), [](QueuedWork&, const base::Status&, base::SteadyTime) {}, false);
  }
  std::shared_ptr<QueuedWork> Call(base::Duration timeout = seconds(60)) {
    Op op;
    op.kind = OpKind::kBarrier;
    op.timeout = timeout;
    auto work = queue_->MakeWork(std::move(op));
    queue_->Enqueue(work);
    return work;
  }

  std::shared_ptr<OpQueue> queue_;
};

/// How often the progress thread has gone to sleep; -1 when there is none.
long SleepsOfProgressThread() {
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string name;
    std::ifstream(task.path() / "comm") >> name;
    if (name != "collectives") continue;
    std::ifstream status(task.path() / "status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("voluntary_ctxt_switches:"))
        return std::strtol(line.c_str() + 24, nullptr, 10);
    }
  }
  return -1;
}

// One more call once failed on its member alone, without a number: the members' ops no longer
// matched.
TEST_F(OpQueueTest, ACallBeyondTheLimitWaitsForItsTurn) {
  std::promise<void> go;
  std::shared_future<void> gone = go.get_future().share();
  std::atomic<uint64_t> last{0};
  Start([&](QueuedWork& work, const OpDeadline&) {
    gone.wait();
    EXPECT_EQ(work.seq().value(), ++last);
    return base::OkStatus();
  });
  std::atomic<size_t> called{0};
  constexpr size_t kCalls = OpQueue::kMaxQueued + 10;
  std::thread caller([&] {
    std::shared_ptr<QueuedWork> work;
    for (; called < kCalls; ++called) work = Call();
    EXPECT_OK(work->Wait());
  });
  // One is being executed, and the last call waits.
  const auto limit = std::chrono::steady_clock::now() + seconds(30);
  while (called < OpQueue::kMaxQueued && std::chrono::steady_clock::now() < limit)
    std::this_thread::yield();
  std::this_thread::sleep_for(milliseconds(20));  // tidy:allow sleep: time to call on, if it did
  EXPECT_GE(called, OpQueue::kMaxQueued);
  EXPECT_LE(called, OpQueue::kMaxQueued + 1);
  go.set_value();
  caller.join();
  EXPECT_EQ(last, kCalls);
}

// It once looked in every millisecond, for as long as a caller waited for a peer with ops queued
// behind.
TEST_F(OpQueueTest, TheThreadSleepsWhileACallerExecutesWithOpsQueuedBehind) {
  std::promise<void> begun, go;
  Start([&](QueuedWork& work, const OpDeadline&) {
    if (work.seq() == base::OpSeq(1)) {
      begun.set_value();
      go.get_future().wait();
    }
    return base::OkStatus();
  });
  const auto first = Call();
  std::thread waiter([&] { EXPECT_OK(first->Wait()); });
  begun.get_future().wait();
  const auto second = Call();
  long before = -1;  // until it has its name
  const auto limit = std::chrono::steady_clock::now() + seconds(30);
  while (before < 0 && std::chrono::steady_clock::now() < limit) before = SleepsOfProgressThread();
  constexpr auto kWhile = milliseconds(200);
  std::this_thread::sleep_for(kWhile);  // tidy:allow sleep: how often it wakes is the question
  const long after = SleepsOfProgressThread();
  go.set_value();
  waiter.join();

  EXPECT_OK(second->Wait());
  ASSERT_GE(before, 0);
  EXPECT_LT(after - before, 20) << "of 200 looks, one each millisecond";
}

TEST_F(OpQueueTest, ADeadlineBehindAnotherBringsItsForward) {
  OpDeadline::Due due;
  std::promise<void> begun, go;
  Start([&](QueuedWork& work, const OpDeadline& deadline) {
    if (work.seq() == base::OpSeq(1)) {
      begun.set_value();
      go.get_future().wait();
      due = deadline.due();
    }
    return base::OkStatus();
  });
  const auto first = Call(seconds(600));
  std::thread waiter([&] { EXPECT_OK(first->Wait()); });
  begun.get_future().wait();
  const auto second = Call(seconds(5));
  const auto third = Call(seconds(50));
  go.set_value();
  waiter.join();
  EXPECT_OK(third->Wait());
  EXPECT_EQ(due.seq, base::OpSeq(2));
  EXPECT_EQ(due.timeout, seconds(5));
}

}  // namespace
}  // namespace lockstep::collectives
