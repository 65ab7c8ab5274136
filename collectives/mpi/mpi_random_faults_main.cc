// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// One rank of a gang that calls random ops without end, to one of which something happens at a
// random time, for mpirun:
//   mpi_random_faults LIBRARY FOLDER SEED
// Each rank tells (fault_rank.h) of the "plan: FAULT" and of its guilty rank, the value; then of
// each "op" that was in flight when one had failed, and of the "end".
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "collectives/mpi/fault_rank.h"
#include "collectives/mpi/mpi_engine.h"
#include "collectives/testing/mixed_call.h"
#include "runtime/base/random.h"

namespace lockstep::collectives {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::FaultRank;
using testing::MixedCall;

enum Fault { kKilled, kStopped, kExits, kVanishes, kNeverCalls, kAborts, kLeaves, kFaults };
constexpr const char* kFaultNames[] = {"killed",      "stopped", "exits", "vanishes",
                                       "never calls", "aborts",  "leaves"};

/// What one seed makes of the ranks; the same in all of them.
struct Plan {
  Plan(uint64_t seed, int size) : random(seed), fault(static_cast<Fault>(seed % kFaults)) {
    guilty = static_cast<int>(random.Below(static_cast<uint64_t>(size)));
    after_ops = 2 * static_cast<size_t>(random.Below(10));
    after_us = static_cast<int>(random.Below(3000));
  }

  base::Random random;  // from here on, of the ops
  Fault fault;
  int guilty;
  size_t after_ops;
  int after_us;
};

/// What comes over the process at any time, whatever it does.
void Strike(const Plan& plan) {
  std::this_thread::sleep_for(std::chrono::microseconds(plan.after_us));
  switch (plan.fault) {
    case kKilled: kill(getpid(), SIGKILL); break;
    case kStopped: kill(getpid(), SIGSTOP); break;
    case kExits: std::exit(0);
    case kVanishes: _exit(0);
    default: break;
  }
}

/// Calls ops, two at a time, until one fails.
class Caller {
 public:
  Caller(FaultRank& rank, Plan plan)
      : rank_(rank), plan_(plan), guilty_(rank.rank() == plan.guilty) {}

  void Run() {
    std::shared_ptr<Group> group = rank_.MustJoin("world");
    if (!group->Barrier({.timeout = seconds(20)})->Wait().ok()) std::abort();
    rank_.Note(std::string("plan: ") + kFaultNames[plan_.fault], base::OkStatus(), seconds(0),
               static_cast<float>(plan_.guilty));
    while (group != nullptr && !failed_) {
      if (guilty_ && called_ == plan_.after_ops && !Begin(group)) break;
      CallTwo(*group);
    }
    for (const auto& call : calls_) {
      const base::Status status = call->work().Wait();
      const auto timings = call->work().timings();
      rank_.Note("op", status, *timings.completed - timings.enqueued);
    }
    if (group != nullptr) rank_.Tell("end", [&](float&) { return group->Barrier()->Wait(); });
    rank_.AwaitWordOfOthers("end", plan_.guilty);  // an mpirun ends all when one ends with an error
  }

 private:
  /// The fault of the guilty one begins. False: it calls no more.
  bool Begin(std::shared_ptr<Group>& group) {
    switch (plan_.fault) {
      case kNeverCalls: rank_.AwaitWordOfOthers("end"); return false;
      case kAborts: group->Abort(base::CancelledError("fault")); return true;
      case kLeaves: group.reset(); return false;
      default: std::thread([plan = plan_] { Strike(plan); }).detach(); return true;
    }
  }
  void CallTwo(Group& group) {
    for (int i = 0; i < 2; ++i) {
      const OpKind kind = MixedCall::kKinds[plan_.random.Below(MixedCall::kKinds.size())];
      const size_t count = plan_.random.Below(3) == 0 ? 30'000 : 10;
      calls_.push_back(std::make_unique<MixedCall>(group, kind, count));
      ++called_;
    }
    const MixedCall& earlier = *calls_[calls_.size() - 2];
    failed_ = !earlier.work().Wait().ok();
    if (failed_) return;
    if (const std::string wrong = earlier.Wrong(); !wrong.empty())
      rank_.Note("wrong", base::DataLossError(wrong), seconds(0));
    if (calls_.size() > 8 && calls_[0]->work().done()) calls_.erase(calls_.begin());
  }

  FaultRank& rank_;
  Plan plan_;
  const bool guilty_;
  size_t called_ = 0;
  bool failed_ = false;
  std::vector<std::unique_ptr<MixedCall>> calls_;
};

int Main(int argc, char** argv) {
  if (argc != 4) return 64;
  alarm(100);  // whatever hangs, no process of this test is left
  const auto engine = MpiEngine::Start({.plugin = argv[1], .end_timeout = seconds(5)});
  if (!engine.ok()) {
    std::fprintf(stderr, "%s\n", engine.status().ToString().c_str());
    return 69;
  }
  FaultRank rank(argv[2], *engine);
  Caller(rank, Plan(std::stoull(argv[3]), rank.size())).Run();
  return 0;
}

}  // namespace
}  // namespace lockstep::collectives

int main(int argc, char** argv) { return lockstep::collectives::Main(argc, argv); }
