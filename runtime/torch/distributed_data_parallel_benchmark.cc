// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// What a backward pass still sees of averaging its gradients: two ranks as threads, each with the
// same perceptron. Averaging is DistributedDataParallel's, as f32 and as bf16; that of buckets in
// ordinary memory, reduced behind the pass as well; and that of all gradients after the pass.
#include "runtime/torch/distributed_data_parallel.h"

#include <benchmark/benchmark.h>
#include <torch/nn/module.h>
#include <torch/nn/modules/linear.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "collectives/testing/thread_gang.h"
#include "collectives/work.h"
#include "runtime/base/check.h"

namespace lockstep::train {
namespace {

using collectives::Dtype;
using collectives::Group;
using collectives::Reduction;
using Clock = std::chrono::steady_clock;

constexpr int kRanks = 2;
constexpr int64_t kWidth = 1024;
constexpr int64_t kSamples = 256;
constexpr size_t kLayers = 4;  // of 4 MiB

void Check(const base::Status& status) { LOCKSTEP_CHECK(status.ok(), status.ToString().c_str()); }

struct Perceptron : torch::nn::Module {
  Perceptron() {
    for (size_t i = 0; i < kLayers; ++i) {
      layers.push_back(
          register_module("layer" + std::to_string(i), torch::nn::Linear(kWidth, kWidth)));
    }
  }
  torch::Tensor Loss(torch::Tensor x) {
    for (auto& layer : layers) x = torch::relu(layer->forward(x));
    return x.pow(2).mean();
  }
  std::vector<torch::nn::Linear> layers;
};

/// Buckets in memory that LibTorch has allocated, one for each layer, reduced as soon as it is
/// full.
class OrdinaryBuckets {
 public:
  OrdinaryBuckets(Perceptron& module, Group& group) : group_(group) {
    for (size_t i = 0; i < kLayers; ++i) {
      Bucket& bucket = buckets_[i];
      bucket.memory = torch::zeros({kWidth * kWidth + kWidth});
      Follow(module.layers[i]->weight, bucket, 0);
      Follow(module.layers[i]->bias, bucket, kWidth * kWidth);
    }
  }
  void Finish() {
    for (Bucket& bucket : buckets_) {
      Check(bucket.work->Wait());
      bucket.pending = 2;
    }
  }

 private:
  struct Bucket {
    torch::Tensor memory;
    int pending = 2;
    std::shared_ptr<collectives::Work> work;
  };

  void Follow(const torch::Tensor& parameter, Bucket& bucket, int64_t offset) {
    parameter.register_hook([this, &bucket, offset](const torch::Tensor& gradient) {
      std::memcpy(bucket.memory.data_ptr<float>() + offset, gradient.contiguous().data_ptr(),
                  gradient.nbytes());
      if (--bucket.pending > 0) return;
      const collectives::Buffer buffer{bucket.memory.data_ptr(),
                                       static_cast<size_t>(bucket.memory.numel()), Dtype::kF32};
      bucket.work = group_.AllReduce(buffer, buffer, Reduction::kAverage);
      bucket.work->OnComplete([](const base::Status&) {});  // begun at once
    });
  }

  Group& group_;
  std::array<Bucket, kLayers> buckets_;
};

void ReduceAfterwards(Perceptron& module, Group& group) {
  for (const torch::Tensor& parameter : module.parameters()) {
    const collectives::Buffer buffer{parameter.grad().data_ptr(),
                                     static_cast<size_t>(parameter.numel()), Dtype::kF32};
    Check(group.AllReduce(buffer, buffer, Reduction::kAverage)->Wait());
  }
}

enum Way { kAlone, kShared, kBf16, kOrdinary, kAfterwards, kWays };

/// One rank: a step of each way in turn.
class Rank {
 public:
  explicit Rank(Group& group) : group_(group), ordinary_(modules_[kOrdinary], group) {
    for (const Way way : {kShared, kBf16}) {
      auto made = DistributedDataParallel::Create(
          modules_[way], group, {.wire = way == kBf16 ? Dtype::kBf16 : Dtype::kF32});
      Check(made.status());
      parallel_[way] = std::move(made).value();
    }
  }

  void Step(std::array<std::vector<double>, kWays>& ms) {
    for (int way = 0; way < kWays; ++way) {
      Perceptron& module = modules_[static_cast<size_t>(way)];
      const torch::Tensor loss = module.Loss(input_);
      Check(group_.Barrier()->Wait());
      const auto begin = Clock::now();
      if (way == kShared || way == kBf16) {
        Check(parallel_[static_cast<size_t>(way)]->Backward(loss));
      } else {
        loss.backward();
      }
      if (way == kOrdinary) ordinary_.Finish();
      if (way == kAfterwards) ReduceAfterwards(module, group_);
      ms[static_cast<size_t>(way)].push_back(
          std::chrono::duration<double, std::milli>(Clock::now() - begin).count());
    }
  }

 private:
  Group& group_;
  const torch::Tensor input_ = torch::rand({kSamples, kWidth});
  std::array<Perceptron, kWays> modules_;
  std::array<std::unique_ptr<DistributedDataParallel>, kWays> parallel_;
  OrdinaryBuckets ordinary_;
};

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void BM_DistributedDataParallel_Backward(benchmark::State& state) {
  torch::set_num_threads(1);
  constexpr int kSteps = 8;                   // of one iteration; the first is for warming up
  std::array<std::vector<double>, kWays> ms;  // of rank 0
  collectives::testing::ThreadGang gang(kRanks);
  for (auto _ : state) {
    gang.Run([&](Group& group) {
      Rank rank(group);
      std::array<std::vector<double>, kWays> ignored;
      rank.Step(ignored);
      for (int step = 1; step < kSteps; ++step)
        rank.Step(group.rank() == base::GroupRank(0) ? ms : ignored);
      Check(group.Barrier()->Wait());
    });
  }
  const double alone = Median(ms[kAlone]);
  state.counters["backward_alone_ms"] = alone;
  state.counters["exposed_ms"] = Median(ms[kShared]) - alone;
  state.counters["exposed_bf16_ms"] = Median(ms[kBf16]) - alone;
  state.counters["exposed_ordinary_memory_ms"] = Median(ms[kOrdinary]) - alone;
  state.counters["exposed_afterwards_ms"] = Median(ms[kAfterwards]) - alone;
}
BENCHMARK(BM_DistributedDataParallel_Backward)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace lockstep::train

BENCHMARK_MAIN();
