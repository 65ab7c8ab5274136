// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_TESTS_BENCH_RECORDED_GANG_H_
#define LOCKSTEP_TESTS_BENCH_RECORDED_GANG_H_

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "collectives/group.h"
#include "collectives/recorder/recorder.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::bench {

/// Ranks as threads of this process, each with three groups of all of them over shared memory: one
/// that is recorded, as under `lockstep run`, and two that are not, which tell how much two groups
/// differ that are alike. Confined to one thread, but for what Run says.
class RecordedGang {
 public:
  struct Groups {
    std::unique_ptr<collectives::Group> plain, recorded, control;
  };

  explicit RecordedGang(int size);

  /// Runs `rank` for each rank on a thread of its own, with its groups; returns when all have.
  void Run(const std::function<void(const Groups&)>& rank);
  /// Of the ranks' rings, for as long as this lives. Any thread.
  const std::vector<base::UniqueFd>& rings() const { return rings_; }

 private:
  std::vector<base::UniqueFd> rings_;
  std::vector<std::shared_ptr<collectives::Recorder>> recorders_;
};

/// Looks at a gang's rings as the agent does, four times a second and closer once a second, on a
/// thread of its own; for as long as it lives, or until Stop(). The gang outlives it.
class RingLooks {
 public:
  explicit RingLooks(const RecordedGang& gang) : thread_([this, &gang] { Look(gang); }) {}
  ~RingLooks() { (void)Stop(); }
  RingLooks(const RingLooks&) = delete;
  RingLooks& operator=(const RingLooks&) = delete;

  /// Processor seconds that it has used. Takes a quarter of a second.
  double Stop();

 private:
  void Look(const RecordedGang& gang);

  std::atomic<bool> stops_{false};
  double used_ = 0;
  std::thread thread_;
};

/// The median of pairs' differences, and the ends of an interval that holds the true one 95 times
/// in 100, whatever their distribution.
struct Difference {
  double median = 0, low = 0, high = 0;
};
/// Of at least 9 values.
Difference DifferenceOf(std::vector<double> differences);

}  // namespace lockstep::bench

#endif  // LOCKSTEP_TESTS_BENCH_RECORDED_GANG_H_
