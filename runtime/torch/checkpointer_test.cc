// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/torch/checkpointer.h"

#include <gtest/gtest.h>
#include <torch/nn/module.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/linear.h>
#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/rmsprop.h>
#include <torch/optim/sgd.h>
#include <torch/utils.h>

#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "collectives/testing/thread_gang.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/storage/fake_file_system.h"

namespace lockstep::train {
namespace {

using base::Code;
using base::Rank;
using base::Status;
using base::testing::HasSubject;
using base::testing::StatusIs;
using collectives::Group;
using collectives::testing::ThreadGang;
using rank::DistributedSampler;
using storage::FakeFileSystem;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using torch::Tensor;
using OptimizerFactory =
    std::function<std::unique_ptr<torch::optim::Optimizer>(std::vector<Tensor>)>;

constexpr int64_t kSamples = 38;

struct Net : torch::nn::Module {
  explicit Net(int64_t hidden = 5) {
    first = register_module("first", torch::nn::Linear(4, hidden));
    norm = register_module("norm", torch::nn::BatchNorm1d(hidden));
    last = register_module("last", torch::nn::Linear(hidden, 2));
    frozen = register_parameter("frozen", torch::ones({2}), /*requires_grad=*/false);
  }
  Tensor forward(const Tensor& x) {
    return last->forward(torch::dropout(norm->forward(first->forward(x)), 0.3, is_training())) +
           frozen;
  }
  torch::nn::Linear first{nullptr}, last{nullptr};
  torch::nn::BatchNorm1d norm{nullptr};
  Tensor frozen;
};

/// All objects of a training in one process; dropout makes it depend on the random numbers too.
struct Training {
  Training(const OptimizerFactory& make_optimizer, Group& group, FakeFileSystem& files,
           int64_t hidden = 5)
      : net(std::make_shared<Net>(hidden)),
        optimizer(make_optimizer(net->parameters())),
        sampler(DistributedSampler::Create({kSamples, 6, 9, group.rank(), group.size()}).value()),
        checkpointer(
            Checkpointer::Create({"/checkpoints", 2}, {*net, *optimizer, sampler}, group, files)
                .value()) {}

  void Train(int steps) {
    for (int i = 0; i < steps; ++i, ++step) {
      const auto share = sampler.Next();
      const Tensor indices = torch::tensor(share.indices, torch::kFloat);
      const Tensor x = torch::sin(indices.unsqueeze(1) * torch::arange(1, 5));
      optimizer->zero_grad();
      net->forward(x).pow(2).sum().backward();
      optimizer->step();
      sampler.Commit();
    }
  }

  std::vector<Tensor> Tensors() const {
    std::vector<Tensor> tensors = net->parameters();
    for (const Tensor& buffer : net->buffers()) tensors.push_back(buffer);
    return tensors;
  }

  std::shared_ptr<Net> net;
  std::unique_ptr<torch::optim::Optimizer> optimizer;
  DistributedSampler sampler;
  std::unique_ptr<Checkpointer> checkpointer;
  int64_t step = 0;
};

bool SameBits(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].nbytes() != b[i].nbytes() ||
        std::memcmp(a[i].data_ptr(), b[i].data_ptr(), a[i].nbytes()) != 0)
      return false;
  }
  return true;
}

std::unique_ptr<torch::optim::Optimizer> MakeSgd(std::vector<Tensor> parameters) {
  return std::make_unique<torch::optim::SGD>(std::move(parameters),
                                             torch::optim::SGDOptions(0.05).momentum(0.9));
}

/// On one rank, on the test's thread.
class CheckpointerTest : public ::testing::Test {
 protected:
  CheckpointerTest() { torch::set_num_threads(1); }

  void RunAlone(const std::function<void(Group&)>& body) { ThreadGang(1).Run(body); }

  FakeFileSystem files_;
};

struct OptimizerKind {
  const char* name;
  OptimizerFactory make;
  OptimizerFactory make_with_other_options;
};

class CheckpointerOptimizersTest : public CheckpointerTest,
                                   public ::testing::WithParamInterface<OptimizerKind> {};

TEST_P(CheckpointerOptimizersTest, InterruptedTrainingEndsWithTheBitsOfTheStraightOne) {
  RunAlone([&](Group& group) {
    torch::manual_seed(3);
    Training straight(GetParam().make, group, files_);
    straight.Train(4);
    ASSERT_OK(straight.checkpointer->Save(4));
    straight.Train(7);  // into the next epoch of the sampler

    torch::manual_seed(77);
    Training resumed(GetParam().make_with_other_options, group, files_);
    ASSERT_OK_AND_ASSIGN(const auto restored, resumed.checkpointer->Restore());
    EXPECT_TRUE(restored.found);
    EXPECT_EQ(restored.step, 4);
    EXPECT_EQ(resumed.sampler.state().cursor, 24);
    resumed.Train(7);

    EXPECT_EQ(resumed.sampler.state(), straight.sampler.state());
    EXPECT_TRUE(SameBits(resumed.Tensors(), straight.Tensors()));
  });
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, CheckpointerOptimizersTest,
    ::testing::Values(
        OptimizerKind{"Sgd", MakeSgd,
                      [](std::vector<Tensor> parameters) {
                        return std::make_unique<torch::optim::SGD>(std::move(parameters),
                                                                   torch::optim::SGDOptions(1));
                      }},
        OptimizerKind{"Adam",
                      [](std::vector<Tensor> parameters) {
                        return std::make_unique<torch::optim::Adam>(
                            std::move(parameters),
                            torch::optim::AdamOptions(0.01).amsgrad(true).betas({0.8, 0.95}));
                      },
                      [](std::vector<Tensor> parameters) {
                        return std::make_unique<torch::optim::Adam>(std::move(parameters),
                                                                    torch::optim::AdamOptions(1));
                      }},
        OptimizerKind{"AdamW",
                      [](std::vector<Tensor> parameters) {
                        return std::make_unique<torch::optim::AdamW>(
                            std::move(parameters),
                            torch::optim::AdamWOptions(0.01).weight_decay(0.1));
                      },
                      [](std::vector<Tensor> parameters) {
                        return std::make_unique<torch::optim::AdamW>(std::move(parameters),
                                                                     torch::optim::AdamWOptions(1));
                      }},
        OptimizerKind{
            "TwoGroups",
            [](std::vector<Tensor> parameters) {
              std::vector<torch::optim::OptimizerParamGroup> groups;
              groups.emplace_back(std::vector<Tensor>{parameters[1]});
              groups.emplace_back(std::vector<Tensor>{parameters[0], parameters[2], parameters[3]},
                                  std::make_unique<torch::optim::SGDOptions>(
                                      torch::optim::SGDOptions(0.2).momentum(0.5).nesterov(true)));
              return std::make_unique<torch::optim::SGD>(std::move(groups),
                                                         torch::optim::SGDOptions(0.01));
            },
            [](std::vector<Tensor> parameters) {
              std::vector<torch::optim::OptimizerParamGroup> groups;
              groups.emplace_back(std::vector<Tensor>{parameters[1]});
              groups.emplace_back(std::vector<Tensor>{parameters[0], parameters[2], parameters[3]});
              return std::make_unique<torch::optim::SGD>(std::move(groups),
                                                         torch::optim::SGDOptions(3));
            }}),
    [](const auto& suite) { return std::string(suite.param.name); });

TEST_F(CheckpointerTest, NothingToRestoreTouchesNothing) {
  RunAlone([&](Group& group) {
    Training training(MakeSgd, group, files_);
    const auto before = training.net->first->weight.clone();

    ASSERT_OK_AND_ASSIGN(const auto restored, training.checkpointer->Restore());

    EXPECT_FALSE(restored.found);
    EXPECT_EQ(restored.step, 0);
    EXPECT_TRUE(SameBits({training.net->first->weight}, {before}));
  });
}

TEST_F(CheckpointerTest, DamagedCheckpointIsPassedOverWithAMessage) {
  RunAlone([&](Group& group) {
    Training training(MakeSgd, group, files_);
    training.Train(2);
    ASSERT_OK(training.checkpointer->Save(2));
    training.Train(2);
    ASSERT_OK(training.checkpointer->Save(4));
    files_.File("/checkpoints/step-4/state.safetensors").back() ^= std::byte{4};

    ASSERT_OK_AND_ASSIGN(const auto restored, training.checkpointer->Restore());

    EXPECT_EQ(restored.step, 2);
    ASSERT_THAT(restored.refused, SizeIs(1));
    EXPECT_THAT(restored.refused[0],
                StatusIs(Code::kDataLoss, HasSubstr("/checkpoints/step-4 is refused")));
  });
}

TEST_F(CheckpointerTest, SavingTheSameStepAgainWritesNothing) {
  RunAlone([&](Group& group) {
    Training training(MakeSgd, group, files_);
    ASSERT_OK(training.checkpointer->Save(2));
    files_.FailCall(1);

    EXPECT_OK(training.checkpointer->Save(2));
    EXPECT_EQ(files_.calls(), 0);
    EXPECT_THAT(training.checkpointer->Save(3),
                StatusIs(Code::kResourceExhausted, HasSubstr("while saving step 3")));
    EXPECT_OK(training.checkpointer->Save(3));
  });
}

TEST_F(CheckpointerTest, AnotherModelOrOptimizerIsRefusedByNameAndChangesNothing) {
  RunAlone([&](Group& group) {
    Training saved(MakeSgd, group, files_);
    saved.Train(2);
    ASSERT_OK(saved.checkpointer->Save(2));
    const auto refusal = [&](Training training) {
      const std::vector<Tensor> before = {training.net->last->weight.clone()};
      const Status status = training.checkpointer->Restore().status();
      EXPECT_TRUE(SameBits({training.net->last->weight}, before));
      EXPECT_EQ(training.sampler.state().cursor, 0);
      return status;
    };

    EXPECT_THAT(
        refusal(Training(MakeSgd, group, files_, /*hidden=*/6)),
        StatusIs(Code::kFailedPrecondition, HasSubstr("'first.weight' is of another shape")));
    EXPECT_THAT(
        refusal(Training(
            [](std::vector<Tensor> parameters) {
              return std::make_unique<torch::optim::AdamW>(std::move(parameters), 0.1);
            },
            group, files_)),
        StatusIs(Code::kFailedPrecondition, HasSubstr("its 'kind' is 'SGD', here it is 'AdamW'")));
    EXPECT_THAT(refusal(Training(
                    [](std::vector<Tensor> parameters) {
                      std::swap(parameters[0], parameters[1]);
                      return MakeSgd(std::move(parameters));
                    },
                    group, files_)),
                StatusIs(Code::kFailedPrecondition, HasSubstr("its '0.parameters' is ")));
  });
}

TEST_F(CheckpointerTest, AnotherGlobalBatchIsRefusedAndChangesNothing) {
  RunAlone([&](Group& group) {
    Training saved(MakeSgd, group, files_);
    saved.Train(2);
    ASSERT_OK(saved.checkpointer->Save(2));
    Training other(MakeSgd, group, files_);
    other.sampler = DistributedSampler::Create({kSamples, 12, 9, group.rank(), 1}).value();
    const std::vector<Tensor> before = {other.net->first->weight.clone()};

    EXPECT_THAT(other.checkpointer->Restore(),
                StatusIs(Code::kInvalidArgument, HasSubstr("steps of 6 samples over all ranks")));
    EXPECT_TRUE(SameBits({other.net->first->weight}, before));
  });
}

// It was put back last, where nothing caught LibTorch's exception.
TEST_F(CheckpointerTest, StateThatNoGeneratorHasIsRefusedAndChangesNothing) {
  RunAlone([&](Group& group) {
    Training training(MakeSgd, group, files_);
    ASSERT_OK(training.checkpointer->Save(2));
    training.Train(1);
    const std::vector<Tensor> before = {training.net->first->weight.clone()};
    ASSERT_OK_AND_ASSIGN(
        const auto file,
        rank::CheckpointFile::Parse(files_.File("/checkpoints/step-2/state.safetensors")));
    std::vector<rank::TensorView> tensors = file.tensors();
    const std::vector<std::byte> garbage(file.Find("rng/cpu")->bytes.size(), std::byte{0xff});
    for (rank::TensorView& tensor : tensors) {
      if (tensor.name == "rng/cpu") tensor.bytes = garbage;
    }
    ASSERT_OK_AND_ASSIGN(const auto store, rank::CheckpointStore::Create({"/checkpoints"}, files_));
    ASSERT_OK(store->Write(3, file.metadata(), tensors));

    EXPECT_THAT(training.checkpointer->Restore(),
                StatusIs(Code::kFailedPrecondition, HasSubstr("'rng/cpu' is no state of a")));
    EXPECT_TRUE(SameBits({training.net->first->weight}, before));
  });
}

TEST_F(CheckpointerTest, OptimizerThatCannotBeSavedSaysSo) {
  RunAlone([&](Group& group) {
    Training training(
        [](std::vector<Tensor> parameters) {
          return std::make_unique<torch::optim::RMSprop>(std::move(parameters),
                                                         torch::optim::RMSpropOptions(0.1));
        },
        group, files_);

    EXPECT_THAT(training.checkpointer->Save(1),
                StatusIs(Code::kUnimplemented, HasSubstr("SGD, Adam and AdamW can")));
  });
}

TEST_F(CheckpointerTest, ForeignParameterInTheOptimizerIsRefused) {
  RunAlone([&](Group& group) {
    Training training(
        [](std::vector<Tensor>) { return MakeSgd({torch::ones({2}, torch::requires_grad())}); },
        group, files_);

    EXPECT_THAT(training.checkpointer->Save(1),
                StatusIs(Code::kInvalidArgument, HasSubstr("number 0 of group 0")));
  });
}

TEST_F(CheckpointerTest, AllRanksGetRankZerosState) {
  std::vector<std::vector<Tensor>> saved(2);
  ThreadGang(2).Run([&](Group& group) {
    Training training(MakeSgd, group, files_);
    ASSERT_OK(training.checkpointer->Save(5));
    saved[static_cast<size_t>(group.rank().value())] = training.Tensors();
  });
  ThreadGang(2).Run([&](Group& group) {
    Training training(MakeSgd, group, files_);
    ASSERT_OK_AND_ASSIGN(const auto restored, training.checkpointer->Restore());
    EXPECT_EQ(restored.step, 5);
    EXPECT_TRUE(SameBits(training.Tensors(), saved[0]));
  });
}

TEST_F(CheckpointerTest, AnotherWorldSizeIsRefusedWithWhatToDo) {
  ThreadGang(2).Run([&](Group& group) {
    Training training(MakeSgd, group, files_);
    ASSERT_OK(training.checkpointer->Save(5));
  });
  ThreadGang(3).Run([&](Group& group) {
    Training training(MakeSgd, group, files_);
    EXPECT_THAT(training.checkpointer->Restore(),
                StatusIs(Code::kFailedPrecondition,
                         HasSubstr("saved by 2 ranks, this job has 3: start it with -np 2")));
  });
}

TEST_F(CheckpointerTest, FailureOfTheWriterIsEverybodys) {
  ThreadGang({Rank(3), Rank(5)}).Run([&](Group& group) {
    Training training(MakeSgd, group, files_);
    if (group.rank() == base::GroupRank(0)) files_.FailCall(1);

    const Status status = training.checkpointer->Save(5);

    if (group.rank() == base::GroupRank(0)) {
      EXPECT_THAT(status, StatusIs(Code::kResourceExhausted));
    } else {
      EXPECT_THAT(status, StatusIs(Code::kAborted,
                                   HasSubstr("rank 3 failed here with RESOURCE_EXHAUSTED")));
      EXPECT_THAT(status, HasSubject(Rank(3)));
    }
    EXPECT_OK(training.checkpointer->Save(5));
  });
}

}  // namespace
}  // namespace lockstep::train
