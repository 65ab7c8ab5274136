// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_DIAGNOSIS_HANG_WATCH_FIXTURE_H_
#define LOCKSTEP_LAUNCHER_DIAGNOSIS_HANG_WATCH_FIXTURE_H_

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <utility>
#include <vector>

#include "launcher/diagnosis/hang_watch.h"
#include "launcher/diagnosis/testing/sim_rank.h"
#include "runtime/event/sim_loop.h"

namespace lockstep::launcher::testing {

/// Three ranks that have made three ops together, and a watch that has just begun.
class HangWatchTest : public ::testing::Test, public HangDelegate {
 protected:
  static constexpr int kRanks = 3;

  HangWatchTest() {
    MakeRanks();
    // Three ops that end well.
    for (int op = 0; op < 3; ++op) {
      for (const auto& rank : ranks_) rank->Call();
      for (const auto& rank : ranks_) rank->End();
    }
    watch_.BeginRound();
  }

  void MakeRanks() {
    ranks_.clear();
    watched_.clear();
    for (int rank = 0; rank < kRanks; ++rank) {
      ranks_.push_back(std::make_unique<SimRank>(loop_, rank, kRanks));
      watched_.push_back(
          {.rank = base::Rank(rank), .pid = ::getpid(), .ring_fd = ranks_.back()->fd()});
    }
  }

  std::vector<WatchedRank> RanksToWatch() override {
    ++look_count_;
    return suspended_ ? Nobody() : watched_;
  }
  void OnHangNotice(const collectives::Finding& finding, const collectives::Evidence&) override {
    notices_.push_back(finding);
  }
  void OnHangVerdict(const collectives::Finding& finding, const collectives::Evidence&) override {
    verdicts_.push_back(finding);
  }

  /// Each look at all ranks takes as much of a processor.
  base::Duration ProcessorTime() {
    if (std::exchange(looks_, !looks_)) processor_time_ += look_takes_;
    return processor_time_;
  }
  static std::vector<WatchedRank> Nobody() { return {}; }
  /// Two ranks call, and wait for the third.
  void WaitForTheThird() {
    for (const int rank : {0, 1}) {
      ranks_[static_cast<size_t>(rank)]->Call();
      ranks_[static_cast<size_t>(rank)]->Wait();
    }
  }
  static std::vector<base::Rank> Culprits(const collectives::Finding& finding) {
    std::vector<base::Rank> ranks;
    for (const collectives::Finding::Culprit& culprit : finding.culprits)
      ranks.push_back(culprit.rank);
    return ranks;
  }

  event::SimLoop loop_;
  std::vector<std::unique_ptr<SimRank>> ranks_;
  std::vector<WatchedRank> watched_;
  bool suspended_ = false;
  int look_count_ = 0;
  bool looks_ = false;
  base::Duration look_takes_{0}, processor_time_{0};
  HangWatch watch_{{}, loop_, *this, [this] { return ProcessorTime(); }};
  std::vector<collectives::Finding> notices_, verdicts_;
};

}  // namespace lockstep::launcher::testing

#endif  // LOCKSTEP_LAUNCHER_DIAGNOSIS_HANG_WATCH_FIXTURE_H_
