// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "examples/fashion_mnist/training_step.h"

#include <torch/nn/functional/loss.h>
#include <torch/optim/adamw.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cstdint>
#include <utility>

#include "collectives/work.h"
#include "examples/fashion_mnist/net.h"
#include "runtime/torch/distributed_data_parallel.h"

namespace lockstep::examples {
namespace {

constexpr int64_t kPictures = 64;

}  // namespace

struct TrainingStep::Parts {
  Net net;
  torch::optim::AdamW optimizer{net.parameters(), torch::optim::AdamWOptions(1e-3)};
  const torch::Tensor pictures = torch::rand({kPictures, 1, 28, 28});
  const torch::Tensor labels = torch::randint(10, {kPictures}, torch::kLong);
  std::unique_ptr<train::DistributedDataParallel> parallel;
};

base::Result<std::unique_ptr<TrainingStep>> TrainingStep::Create(collectives::Group& group) {
  torch::set_num_threads(1);
  std::unique_ptr<TrainingStep> step(new TrainingStep(group));
  ASSIGN_OR_RETURN(step->parts_->parallel,
                   train::DistributedDataParallel::Create(step->parts_->net, group, {}));
  return step;
}

TrainingStep::TrainingStep(collectives::Group& group)
    : group_(group), parts_(std::make_unique<Parts>()) {}
TrainingStep::~TrainingStep() = default;

base::Status TrainingStep::Run() {
  Parts& parts = *parts_;
  parts.optimizer.zero_grad();
  const torch::Tensor loss =
      torch::nn::functional::cross_entropy(parts.net.forward(parts.pictures), parts.labels);
  RETURN_IF_ERROR(parts.parallel->Backward(loss));
  parts.optimizer.step();
  double sums[] = {loss.item<double>(), 0, 0};
  const collectives::Buffer buffer{sums, 3, collectives::Dtype::kF64};
  return group_.AllReduce(buffer, buffer, collectives::Reduction::kSum)->Wait();
}

}  // namespace lockstep::examples
