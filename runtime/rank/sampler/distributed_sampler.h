// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_RANK_SAMPLER_DISTRIBUTED_SAMPLER_H_
#define LOCKSTEP_RUNTIME_RANK_SAMPLER_DISTRIBUTED_SAMPLER_H_

#include <cstdint>
#include <vector>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"

namespace lockstep::rank {

/// Deals the samples of a data set to the ranks, in an order that is a pure function of seed, epoch
/// and place, so that a run that resumes from the state sees what the undisturbed one would have.
/// Each rank has one; all have the same Config but for the rank. One thread at a time. No I/O.
///
/// A step takes the next `count` = min(global_batch, what is left of the epoch) places of the
/// order; of them rank r of n gets [count * r / n, count * (r + 1) / n). So every sample comes
/// exactly once an epoch, without padding, and the samples of a step do not depend on the number of
/// ranks. The shares of a step differ by one at most; in the last step of an epoch one may be
/// empty. For the exact mean over the global batch weight by counts: loss = sum over the share * n
/// / count.
///
///   while (sampler.state().epoch < epochs) {
///     const DistributedSampler::Share share = sampler.Next();
///     ...train on share.indices...
///     sampler.Commit();
///   }
class DistributedSampler {
 public:
  struct Config {
    int64_t dataset_size = 0;  // at least 1
    int64_t global_batch = 0;  // samples a step over all ranks, at least 1
    uint64_t seed = 0;
    base::GroupRank rank;
    int world_size = 1;
  };

  /// All that a checkpoint must keep.
  struct State {
    uint64_t seed = 0;
    int64_t epoch = 0;   // complete epochs
    int64_t cursor = 0;  // samples of this epoch that steps have committed, on all ranks together
    int64_t dataset_size = 0;
    int64_t global_batch = 0;

    friend bool operator==(const State&, const State&) = default;
  };

  struct Share {
    std::vector<int64_t> indices;  // this rank's samples, in [0, dataset_size)
    int64_t count = 0;             // samples of the step on all ranks together
  };

  /// Errors: InvalidArgument - which field, its value and its limit.
  static base::Result<DistributedSampler> Create(Config config);

  /// This rank's part of the next step. Moves nothing: until Commit it is the same.
  Share Next() const;
  /// The step of Next() counts; the last one of an epoch begins the next epoch.
  void Commit();

  State state() const { return state_; }
  /// Goes on where `state` was taken, with its seed.
  /// Errors: InvalidArgument - another data set's size, another global_batch (the steps would be
  /// others, and a schedule of the learning rate with them), or numbers that no sampler writes.
  base::Status Restore(const State& state);

  /// Steps in an epoch.
  int64_t steps_per_epoch() const;

 private:
  explicit DistributedSampler(Config config);

  int64_t StepCount() const;

  Config config_;
  State state_;
};

}  // namespace lockstep::rank

#endif  // LOCKSTEP_RUNTIME_RANK_SAMPLER_DISTRIBUTED_SAMPLER_H_
