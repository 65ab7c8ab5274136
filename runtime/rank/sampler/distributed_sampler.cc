// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/rank/sampler/distributed_sampler.h"

#include <algorithm>
#include <string>
#include <utility>

#include "runtime/rank/sampler/permutation.h"

namespace lockstep::rank {
namespace {

using base::InvalidArgumentError;
using base::OkStatus;
using base::Result;
using base::Status;

// Keeps count * world_size below 2^63.
constexpr int64_t kGlobalBatchMax = int64_t{1} << 31;

}  // namespace

Result<DistributedSampler> DistributedSampler::Create(Config config) {
  if (config.dataset_size < 1) {
    return InvalidArgumentError("dataset_size is " + std::to_string(config.dataset_size) +
                                "; a sampler needs a sample");
  }
  if (config.global_batch < 1 || config.global_batch > kGlobalBatchMax) {
    return InvalidArgumentError("global_batch is " + std::to_string(config.global_batch) +
                                "; it must be in [1, " + std::to_string(kGlobalBatchMax) + "]");
  }
  if (config.world_size < 1 || config.rank.value() < 0 ||
      config.rank.value() >= config.world_size) {
    return InvalidArgumentError("rank " + config.rank.ToString() + " of a world of " +
                                std::to_string(config.world_size));
  }
  return DistributedSampler(config);
}

DistributedSampler::DistributedSampler(Config config)
    : config_(config), state_{config.seed, 0, 0, config.dataset_size, config.global_batch} {}

DistributedSampler::Share DistributedSampler::Next() const {
  const int64_t count = StepCount();
  const int64_t begin = count * config_.rank.value() / config_.world_size;
  const int64_t end = count * (config_.rank.value() + 1) / config_.world_size;
  const Permutation order(config_.dataset_size, state_.seed, static_cast<uint64_t>(state_.epoch));
  Share share;
  share.count = count;
  share.indices.reserve(static_cast<size_t>(end - begin));
  for (int64_t i = begin; i < end; ++i) share.indices.push_back(order.at(state_.cursor + i));
  return share;
}

void DistributedSampler::Commit() {
  state_.cursor += StepCount();
  if (state_.cursor == config_.dataset_size) {
    state_.cursor = 0;
    ++state_.epoch;
  }
}

Status DistributedSampler::Restore(const State& state) {
  if (state.dataset_size != config_.dataset_size) {
    return InvalidArgumentError("the state is of a data set of " +
                                std::to_string(state.dataset_size) + " samples; this one has " +
                                std::to_string(config_.dataset_size));
  }
  if (state.global_batch != config_.global_batch) {
    return InvalidArgumentError("the state is of steps of " + std::to_string(state.global_batch) +
                                " samples over all ranks; these are of " +
                                std::to_string(config_.global_batch) +
                                ": take the old global_batch, or begin anew");
  }
  if (state.epoch < 0 || state.cursor < 0 || state.cursor >= state.dataset_size) {
    return InvalidArgumentError(
        "epoch " + std::to_string(state.epoch) + " with cursor " + std::to_string(state.cursor) +
        " of " + std::to_string(state.dataset_size) + " samples is no place in a training");
  }
  state_ = state;
  return OkStatus();
}

int64_t DistributedSampler::steps_per_epoch() const {
  return (config_.dataset_size - 1) / config_.global_batch + 1;
}

int64_t DistributedSampler::StepCount() const {
  return std::min(config_.global_batch, config_.dataset_size - state_.cursor);
}

}  // namespace lockstep::rank
