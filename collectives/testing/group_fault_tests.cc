// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// After any single fault every Work of every survivor ends, within its deadline and a second
// (group_contract.h). Faults of processes and of the network are fault_property_test's.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "collectives/testing/fault_seeds.h"
#include "collectives/testing/group_contract.h"
#include "collectives/testing/mixed_call.h"
#include "runtime/base/random.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives::testing {
namespace {

using base::Status;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr auto kTimeout = milliseconds(500);
constexpr auto kLatest = kTimeout + seconds(1);  // the contract's
// A scheduler that takes more than that second does so once, a backend each time.
constexpr int kAttempts = 3;

enum class Fault { kNeverCalls, kAborts, kLeaves, kDisagrees };

/// What one seed makes of the ranks.
struct FaultPlan {
  FaultPlan(uint64_t seed, int size) : random(seed) {
    guilty = static_cast<int>(random.Below(static_cast<uint64_t>(size)));
    fault = static_cast<Fault>(random.Below(4));
    fault_at = random.Below(6);
    count = random.Below(2) == 0 ? 10 : 80'000;
    for (OpKind& kind : ops) kind = MixedCall::kKinds[random.Below(MixedCall::kKinds.size())];
    // A batch concerns two neighbours alone: what all notice comes last, and is what they differ
    // in.
    ops.back() = OpKind::kAllReduce;
    if (fault == Fault::kDisagrees && ops[fault_at] == OpKind::kBatch)
      ops[fault_at] = OpKind::kAllGather;
    dtype = random.Below(2) == 0 ? Dtype::kBf16 : Dtype::kI32;
  }

  base::Random random;
  int guilty;
  Fault fault;
  size_t fault_at;
  size_t count;
  std::array<OpKind, 8> ops;
  Dtype dtype;
};

class FaultRun {
 public:
  FaultRun(const FaultPlan& plan, int size) : plan_(plan), size_(size) {}

  /// What a rank does.
  void Take(Group& group) {
    const bool guilty = group.rank().value() == plan_.guilty;
    std::vector<std::unique_ptr<MixedCall>> calls;  // outlive the ops in flight, with their memory
    const auto end = [&] {
      Judge(calls);
      if (!guilty) ++survivors_done_;
    };
    for (size_t op = 0; op < plan_.ops.size(); ++op) {
      OpKind kind = plan_.ops[op];
      if (guilty && op == plan_.fault_at) {
        if (plan_.fault == Fault::kLeaves) return Keep(std::move(calls));
        if (plan_.fault == Fault::kNeverCalls) {
          while (survivors_done_.load() < size_ - 1) std::this_thread::yield();
          return Keep(std::move(calls));
        }
        if (plan_.fault == Fault::kAborts) group.Abort(base::CancelledError("fault"));
        if (plan_.fault == Fault::kDisagrees)
          kind = kind == OpKind::kBarrier ? OpKind::kAllReduce : OpKind::kBarrier;
      }
      calls.push_back(std::make_unique<MixedCall>(group, kind, plan_.count, plan_.dtype));
      if (op % 3 == 0) (void)calls.back()->work().Wait();
    }
    end();
    Keep(std::move(calls));
  }

  /// From call to end, of all Works; once all ranks are through.
  base::Duration longest() const { return longest_; }

 private:
  void Judge(const std::vector<std::unique_ptr<MixedCall>>& calls) {
    bool failed = false;
    for (const auto& call : calls) {
      const Status status = call->work().Wait();
      if (status.ok()) {
        EXPECT_EQ(call->Wrong(), "");
        EXPECT_FALSE(failed && call->kind() != OpKind::kBatch) << "an op after a failed one";
      }
      failed = failed || (!status.ok() && call->kind() != OpKind::kBatch);
      const auto timings = call->work().timings();
      const std::lock_guard<std::mutex> lock(mutex_);
      longest_ = std::max(longest_, *timings.completed - timings.enqueued);
    }
    EXPECT_TRUE(failed);
  }
  /// Until the group has ended.
  void Keep(std::vector<std::unique_ptr<MixedCall>> calls) {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (auto& call : calls) kept_.push_back(std::move(call));
  }

  const FaultPlan& plan_;
  const int size_;
  std::atomic<int> survivors_done_{0};
  std::mutex mutex_;
  base::Duration longest_{0};  // this and the next guarded by mutex_
  std::vector<std::unique_ptr<MixedCall>> kept_;
};

// Seed 8 of three once hung for ever: who dropped a group with a transfer in flight waited for a
// thread that slept in the backend, and was not told when it woke up.
TEST_P(FaultContractTest, NobodyWaitsBeyondTheDeadlineWhateverOneRankDoes) {
  for (const uint64_t seed : FaultSeeds(16, 1000)) {
    const FaultPlan plan(seed, size());
    SCOPED_TRACE("LOCKSTEP_SEED=" + std::to_string(seed) + ": rank " + std::to_string(plan.guilty) +
                 ", fault " + std::to_string(static_cast<int>(plan.fault)) + " at op " +
                 std::to_string(plan.fault_at));
    base::Duration longest = base::Duration::max();
    for (int attempt = 0; attempt < kAttempts && longest >= kLatest && !HasFailure(); ++attempt) {
      const auto gang = NewGang();
      gang->timeout = kTimeout;
      FaultRun run(plan, size());
      RunLeaving(*gang, [&run](Group& group) { run.Take(group); });
      longest = std::min(longest, run.longest());
    }
    EXPECT_LT(longest, kLatest);
    if (HasFailure()) return;  // the first is the one to look at
  }
}

}  // namespace
}  // namespace lockstep::collectives::testing
