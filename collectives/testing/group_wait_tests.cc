// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// What it costs to wait (group_contract.h).
#include <gtest/gtest.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <iostream>
#include <memory>
#include <thread>
#include <vector>

#include "collectives/testing/group_contract.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives::testing {
namespace {

using base::GroupRank;
using std::chrono::milliseconds;

// Figures are in docs/performance.md.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr double kMostOfACore = 0.5;  // that it sleeps, and no more
#else
constexpr double kMostOfACore = 0.05;
#endif
constexpr auto kLate = milliseconds(300);

double ProcessSeconds() {
  timespec time;
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

struct Wait {
  const char* name;
  std::function<base::Status(Group&)> early, late;
};

const Wait kWaits[] = {
    {"of a caller", [](Group& group) { return group.Barrier()->Wait(); },
     [](Group& group) { return group.Barrier()->Wait(); }},
    {"of the progress thread",
     [](Group& group) { return group.Barrier()->WaitFor(std::chrono::seconds(60)); },
     [](Group& group) { return group.Barrier()->Wait(); }},
    {"for data",
     [](Group& group) {
       std::vector<float> data(1 << 20);
       return group.AllReduce(In(group, data), Out(group, data), Reduction::kSum)->Wait();
     },
     [](Group& group) {
       std::vector<float> data(1 << 20);
       return group.AllReduce(In(group, data), Out(group, data), Reduction::kSum)->Wait();
     }},
    {"for a message",
     [](Group& group) {
       if (group.rank() != GroupRank(0)) return base::OkStatus();
       float cell = 0;
       return group.Recv({&cell, 1, Dtype::kF32, DeviceOf(group)}, GroupRank(1))->Wait();
     },
     [](Group& group) {
       const float cell = 0;
       return group.Send({&cell, 1, Dtype::kF32, DeviceOf(group)}, GroupRank(0))->Wait();
     }},
};

/// The part of a core that each of the others uses while all but rank 1 wait for it in `wait`.
double ShareWhileWaiting(Group& group, const Wait& wait, std::atomic<int>& waiting) {
  if (group.rank() != GroupRank(1)) {
    ++waiting;
    EXPECT_OK(wait.early(group));
    return 0;
  }
  while (waiting.load() < group.size() - 1) std::this_thread::yield();
  std::this_thread::sleep_for(milliseconds(20));  // tidy:allow sleep: only long waits count
  const double before = ProcessSeconds();
  const auto since = std::chrono::steady_clock::now();
  std::this_thread::sleep_for(kLate);  // tidy:allow sleep: being late is the subject
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - since;
  const double share = (ProcessSeconds() - before) / took.count() / (group.size() - 1);
  EXPECT_OK(wait.late(group));
  return share;
}

TEST_P(WaitContractTest, WaitingForALateRankLeavesTheProcessorsAlone) {
  for (const Wait& wait : kWaits) {
    SCOPED_TRACE(wait.name);
    double least = 1e9;  // of some: one may be disturbed
    for (int attempt = 0; attempt < 5 && least >= kMostOfACore; ++attempt) {
      const auto gang = NewGang();
      std::atomic<int> waiting{0};
      std::atomic<double> share{0};
      gang->Run([&](Group& group) {
        ASSERT_OK(group.Barrier()->Wait());
        const double mine = ShareWhileWaiting(group, wait, waiting);
        if (group.rank() == GroupRank(1)) share = mine;
        EXPECT_OK(group.Barrier()->Wait());
      });
      least = std::min(least, share.load());
    }
    std::cout << "waiting " << wait.name << ": " << least * 100 << " % of a core\n";
    EXPECT_LT(least, kMostOfACore);
  }
}

}  // namespace
}  // namespace lockstep::collectives::testing
