// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// Trains a small CNN on Fashion-MNIST, on as many ranks as it is started on. Killed at any moment
// and started again with the same checkpoint directory, it ends with the same weights as if nothing
// had happened.
// lockstep run -np 4 --max-restarts 3 --checkpoint-dir state bazel-bin/examples/fashion_mnist/train
#include <gflags/gflags.h>
#include <torch/nn/functional/loss.h>
#include <torch/optim/adamw.h>
#include <torch/utils.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "collectives/work.h"
#include "examples/fashion_mnist/image_set.h"
#include "examples/fashion_mnist/net.h"
#include "runtime/rank/graceful_stop.h"
#include "runtime/rank/sampler/distributed_sampler.h"
#include "runtime/rank/session.h"
#include "runtime/storage/file_system.h"
#include "runtime/torch/allocator.h"
#include "runtime/torch/checkpointer.h"
#include "runtime/torch/distributed_data_parallel.h"

DEFINE_int32(epochs, 3, "How often every image is seen");
DEFINE_int64(batch, 64, "Images a step and rank");
DEFINE_double(lr, 0.006, "Highest learning rate");
DEFINE_int64(limit, 60000, "Images to train on, and to test on, at most");
DEFINE_uint64(seed, 1, "Of the start weights and the order of images");
DEFINE_string(data, "/usr/share/datasets/fashion-mnist", "Folder of the data set");
DEFINE_string(checkpoint_dir, "",
              "Where to keep checkpoints; empty: where the job says, else none");
DEFINE_int64(checkpoint_every, 100, "Steps from one checkpoint to the next");
DEFINE_int64(log_every, 50, "Steps from one progress line to the next");

namespace lockstep::examples {
namespace {

namespace functional = torch::nn::functional;
using base::Status;
using rank::DistributedSampler;
using torch::Tensor;

const auto kSum = functional::CrossEntropyFuncOptions().reduction(torch::kSum);

/// The set's own memory as tensors: images and labels.
std::pair<Tensor, Tensor> TensorsOf(ImageSet& set) {
  return {torch::from_blob(set.pixels.data(), {set.count, 1, 28, 28}),
          torch::from_blob(set.labels.data(), {set.count}, torch::kLong)};
}

/// Up in the first fifth of the training, then down to a hundredth.
double LearningRate(int64_t step, int64_t steps) {
  const double done = static_cast<double>(step) / static_cast<double>(steps);
  return FLAGS_lr * std::max(0.01, done < 0.2 ? done / 0.2 : (1 - done) / 0.8);
}

/// Adds up `values` over all ranks.
Status Sum(collectives::Group& group, std::span<double> values) {
  const collectives::Buffer buffer{values.data(), values.size(), collectives::Dtype::kF64};
  return group.AllReduce(buffer, buffer, collectives::Reduction::kSum)->Wait();
}

/// On all test images, of which each rank looks at its part; in percent.
base::Result<double> Accuracy(Net& net, ImageSet& test, collectives::Group& group) {
  const torch::NoGradGuard no_grad;
  const int64_t rank = group.rank().value();
  const int64_t begin = test.count * rank / group.size();
  const int64_t end = test.count * (rank + 1) / group.size();
  const auto [images, labels] = TensorsOf(test);
  const Tensor guesses = net.forward(images.slice(0, begin, end)).argmax(1);
  double right = guesses.eq(labels.slice(0, begin, end)).sum().item<double>();
  RETURN_IF_ERROR(Sum(group, {&right, 1}));
  return 100 * right / static_cast<double>(test.count);
}

/// FNV-1a of every weight's bits.
uint64_t Hash(const Net& net) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const Tensor& weight : net.parameters()) {
    const auto* bytes = static_cast<const unsigned char*>(weight.data_ptr());
    for (size_t i = 0; i < weight.nbytes(); ++i) hash = (hash ^ bytes[i]) * 0x100000001b3u;
  }
  return hash;
}

void PrintError(const Status& status) { fprintf(stderr, "%s\n", status.ToString().c_str()); }

/// Says that it saves, to whoever watches the job.
Status Save(train::Checkpointer& checkpointer, rank::Session& session, int64_t step) {
  const rank::Phase phase(session, "checkpoint");
  return checkpointer.Save(step);
}

void SetLearningRate(torch::optim::AdamW& optimizer, double rate) {
  static_cast<torch::optim::AdamWOptions&>(optimizer.param_groups()[0].options()).lr(rate);
}

Status Train() {
  ASSIGN_OR_RETURN(const auto session, rank::Session::Create());
  const rank::GracefulStop graceful_stop(*session);
  ASSIGN_OR_RETURN(const auto group, session->WorldGroup());
  ASSIGN_OR_RETURN(ImageSet train, ReadImageSet(FLAGS_data, "train", FLAGS_limit));
  ASSIGN_OR_RETURN(ImageSet test, ReadImageSet(FLAGS_data, "t10k", FLAGS_limit));
  const auto [images, labels] = TensorsOf(train);
  if (group->rank().value() != 0) stdout = fopen("/dev/null", "w");  // rank 0 speaks for all

  torch::manual_seed(FLAGS_seed);
  Net net;
  torch::optim::AdamW optimizer(net.parameters(),
                                torch::optim::AdamWOptions(FLAGS_lr).weight_decay(1e-4));
  ASSIGN_OR_RETURN(auto sampler,
                   DistributedSampler::Create({train.count, FLAGS_batch * group->size(), FLAGS_seed,
                                               group->rank(), group->size()}));
  const int64_t steps = sampler.steps_per_epoch() * FLAGS_epochs;
  int64_t step = 0;
  const std::string directory =
      FLAGS_checkpoint_dir.empty() ? session->world().checkpoint_directory : FLAGS_checkpoint_dir;
  storage::RealFileSystem files;
  std::unique_ptr<train::Checkpointer> checkpointer;
  if (!directory.empty()) {
    ASSIGN_OR_RETURN(checkpointer, train::Checkpointer::Create(
                                       {directory}, {net, optimizer, sampler}, *group, files));
    ASSIGN_OR_RETURN(const auto restored, checkpointer->Restore());
    for (const Status& status : restored.refused) PrintError(status);
    step = restored.step;
    if (restored.found) printf("restored step %ld from %s\n", step, directory.c_str());
  }
  ASSIGN_OR_RETURN(const auto parallel, train::DistributedDataParallel::Create(net, *group, {}));

  for (const int64_t first_step = step; step < steps;) {
    const DistributedSampler::Share share = sampler.Next();
    const Tensor indices = torch::tensor(share.indices, torch::kLong);
    SetLearningRate(optimizer, LearningRate(step, steps));
    optimizer.zero_grad();
    const Tensor output = net.forward(images.index_select(0, indices));
    const Tensor loss = functional::cross_entropy(output, labels.index_select(0, indices), kSum);
    // Their mean over the ranks is the mean over the step's images, also where shares differ.
    RETURN_IF_ERROR(parallel->Backward(loss * group->size() / share.count));
    optimizer.step();
    sampler.Commit();
    ++step;
    session->ReportSamples(share.indices.size());
    session->ReportProgress(step);

    // All ranks must stop and save at the same step, so they tell each other who was asked to.
    double sums[] = {loss.item<double>(), session->stop_requested() ? 1.0 : 0,
                     session->TakeCheckpointRequest() ? 1.0 : 0};
    RETURN_IF_ERROR(Sum(*group, sums));
    const bool stops = sums[1] > 0;
    const bool saves = stops || sums[2] > 0 || step % FLAGS_checkpoint_every == 0 || step == steps;
    if (step == first_step + 1)
      printf("all %d ranks are training from step %ld\n", group->size(), step);
    if (step % FLAGS_log_every == 0) {
      printf("epoch %ld step %ld/%ld loss %.3f\n", (step - 1) / sampler.steps_per_epoch() + 1, step,
             steps, sums[0] / static_cast<double>(share.count));
    }
    Status saved;
    if (checkpointer != nullptr && saves) saved = Save(*checkpointer, *session, step);
    if (stops) return saved;
    if (!saved.ok()) PrintError(saved);  // a full disk, say: train on, the older ones are there
    if (sampler.state().cursor == 0 && step < steps) {
      ASSIGN_OR_RETURN(const double accuracy, Accuracy(net, test, *group));
      printf("epoch %ld of %d: accuracy %.2f %%\n", sampler.state().epoch, FLAGS_epochs, accuracy);
    }
  }
  ASSIGN_OR_RETURN(const double accuracy, Accuracy(net, test, *group));
  printf("accuracy %.2f %%, final weights %016lx\n", accuracy, Hash(net));
  return base::OkStatus();
}

}  // namespace
}  // namespace lockstep::examples

int main(int argc, char** argv) {
  gflags::ParseCommandLineFlags(&argc, &argv, true);
  setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
  lockstep::train::KeepFreedMemory();
  torch::set_num_threads(1);  // with more, a rank's sums would depend on how the work is split
  const lockstep::base::Status status = lockstep::examples::Train();
  if (!status.ok()) lockstep::examples::PrintError(status);
  return status.ok() ? 0 : 1;
}
