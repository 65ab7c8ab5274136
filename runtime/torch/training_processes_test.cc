// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// What threads as ranks cannot show: LibTorch's random numbers are the process's.
#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <torch/nn/functional/dropout.h>
#include <torch/nn/module.h>
#include <torch/nn/modules/linear.h>
#include <torch/optim/sgd.h>
#include <torch/utils.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "collectives/engine/queued_group.h"
#include "collectives/host/shm/shm_backend_maker.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/rank/sampler/distributed_sampler.h"
#include "runtime/storage/file_system.h"
#include "runtime/torch/checkpointer.h"
#include "runtime/torch/distributed_data_parallel.h"

namespace lockstep::train {
namespace {

using base::Rank;
using collectives::Group;
using rank::DistributedSampler;
using torch::Tensor;

constexpr int kRanks = 3;
constexpr int kDeadlineSeconds = 50;

/// The segments of forked processes that open them in one order: a group's, and those of its
/// buffers.
class InheritedSegments final : public collectives::SegmentSource {
 public:
  InheritedSegments() {
    for (base::UniqueFd& fd : fds_) fd = base::UniqueFd(memfd_create("lockstep-test", MFD_CLOEXEC));
  }

  base::Result<std::shared_ptr<collectives::Segment>> Open(
      const collectives::SegmentRequest& request, base::Duration) override {
    if (opened_ == fds_.size() ||
        ftruncate(fds_[opened_].get(), static_cast<off_t>(request.bytes)) != 0) {
      return base::ResourceExhaustedError("no memory for the group");
    }
    return collectives::Segment::Map(fds_[opened_++], request.bytes);
  }

 private:
  std::array<base::UniqueFd, 4> fds_;
  size_t opened_ = 0;  // in this process
};

/// `body` in a process for each rank. The test's process must not have run LibTorch's autograd,
/// which refuses to work in a fork of one that has.
void RunProcesses(const std::function<void(Group&)>& body) {
  const auto segments = std::make_shared<InheritedSegments>();
  std::vector<pid_t> children;
  for (int rank = 0; rank < kRanks; ++rank) {
    fflush(nullptr);
    const pid_t child = fork();
    if (child == 0) {
      alarm(kDeadlineSeconds);
      collectives::QueuedGroup::Config config{
          .spec = {.job = "test", .host = "here", .rank = base::GroupRank(rank)}};
      for (int r = 0; r < kRanks; ++r) config.spec.world_ranks.emplace_back(r);
      const auto group = collectives::QueuedGroup::Create(
          std::move(config), std::make_shared<collectives::ShmBackendMaker>(segments));
      EXPECT_OK(group);
      if (group.ok()) {
        body(**group);
        EXPECT_OK((*group)->Barrier()->Wait());
      }
      fflush(nullptr);
      _exit(::testing::Test::HasFailure() ? 1 : 0);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
}

struct Net : torch::nn::Module {
  Net() {
    first = register_module("first", torch::nn::Linear(4, 16));
    last = register_module("last", torch::nn::Linear(16, 2));
  }
  Tensor forward(const Tensor& x) {
    return last->forward(torch::dropout(torch::relu(first->forward(x)), 0.5, /*train=*/true));
  }
  torch::nn::Linear first{nullptr}, last{nullptr};
};

/// With dropout, so that it depends on each rank's own random numbers.
struct Training {
  Training(Group& group, const std::string& directory)
      : optimizer(net.parameters(), torch::optim::SGDOptions(0.05).momentum(0.9)),
        sampler(DistributedSampler::Create({47, 8, 9, group.rank(), group.size()}).value()),
        checkpointer(
            Checkpointer::Create({directory, 2}, {net, optimizer, sampler}, group, files).value()),
        size(group.size()) {}

  void Train(DistributedDataParallel& parallel, int steps) {
    for (int i = 0; i < steps; ++i) {
      const auto share = sampler.Next();
      const Tensor indices = torch::tensor(share.indices, torch::kFloat);
      const Tensor x = torch::sin(indices.unsqueeze(1) * torch::arange(1, 5));
      optimizer.zero_grad();
      ASSERT_OK(parallel.Backward(net.forward(x).pow(2).sum() * size / share.count));
      optimizer.step();
      sampler.Commit();
    }
  }

  Net net;
  torch::optim::SGD optimizer;
  DistributedSampler sampler;
  storage::RealFileSystem files;
  std::unique_ptr<Checkpointer> checkpointer;
  int size;
};

Tensor GeneratorState() { return at::detail::getDefaultCPUGenerator().get_state(); }

TEST(TrainingProcessesTest, EachRankGoesOnWithItsOwnRandomNumbersToTheBitsOfTheStraightRun) {
  std::string directory = ::testing::TempDir() + "/trainingXXXXXX";
  ASSERT_NE(mkdtemp(directory.data()), nullptr);

  RunProcesses([&](Group& group) {
    torch::set_num_threads(1);
    torch::manual_seed(static_cast<uint64_t>(100 + group.rank().value()));
    std::vector<Tensor> expected;
    Tensor state_at_save, state_at_end;
    {
      Training straight(group, directory);
      ASSERT_OK_AND_ASSIGN(const auto parallel,
                           DistributedDataParallel::Create(straight.net, group, {}));
      straight.Train(*parallel, 4);
      state_at_save = GeneratorState();
      ASSERT_OK(straight.checkpointer->Save(4));
      straight.Train(*parallel, 7);
      state_at_end = GeneratorState();
      for (const Tensor& parameter : straight.net.parameters()) {
        expected.push_back(parameter.detach().clone());
      }
    }

    torch::manual_seed(7);
    Training resumed(group, directory);
    ASSERT_OK_AND_ASSIGN(const auto restored, resumed.checkpointer->Restore());
    EXPECT_EQ(restored.step, 4);
    EXPECT_TRUE(GeneratorState().equal(state_at_save)) << "rank " << group.rank().value();
    ASSERT_OK_AND_ASSIGN(const auto parallel,
                         DistributedDataParallel::Create(resumed.net, group, {}));
    resumed.Train(*parallel, 7);

    EXPECT_TRUE(GeneratorState().equal(state_at_end));
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_TRUE(resumed.net.parameters()[i].equal(expected[i])) << i;
    }
  });
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace lockstep::train
