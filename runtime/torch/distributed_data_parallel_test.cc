// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/torch/distributed_data_parallel.h"

#include <gtest/gtest.h>
#include <torch/nn/functional/loss.h>
#include <torch/nn/module.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/linear.h>
#include <torch/optim/sgd.h>
#include <torch/utils.h>

#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "collectives/testing/thread_gang.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::train {
namespace {

using base::Code;
using base::Status;
using base::testing::StatusIs;
using collectives::Dtype;
using collectives::Group;
using collectives::testing::ThreadGang;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using torch::Tensor;
using Unused = DistributedDataParallel::UnusedParameters;

constexpr int64_t kFeatures = 6;
constexpr int64_t kShare = 4;  // samples of a rank

/// Two layers, a third that only some forward passes use, and one registered under two names.
struct Net : torch::nn::Module {
  explicit Net(int64_t seed, int64_t hidden = 5) {
    torch::manual_seed(static_cast<uint64_t>(seed));
    first = register_module("first", torch::nn::Linear(kFeatures, hidden));
    second = register_module("second", torch::nn::Linear(hidden, 3));
    extra = register_module("extra", torch::nn::Linear(hidden, 3));
  }
  Tensor forward(const Tensor& x, bool use_extra = true) {
    const Tensor hidden = torch::relu(first->forward(x));
    return use_extra ? second->forward(hidden) + extra->forward(hidden) : second->forward(hidden);
  }
  torch::nn::Linear first{nullptr}, second{nullptr}, extra{nullptr};
};

Tensor InputOf(int rank, int64_t step = 0, int64_t samples = kShare) {
  auto x = torch::arange(samples * kFeatures, torch::kFloat).view({samples, kFeatures});
  return torch::sin(x * 0.7 + static_cast<double>(rank * 100 + step * 10));
}

Tensor LossOf(Net& net, const Tensor& x, bool use_extra = true) {
  return net.forward(x, use_extra).pow(2).mean();
}

/// What the mean of the gradients of `size` ranks must be, bit for bit: computed in one process,
/// added in rank order.
std::vector<Tensor> MeanGradients(Net& net, int size,
                                  const std::function<Tensor(Net&, int)>& loss) {
  std::vector<Tensor> sums;
  for (int rank = 0; rank < size; ++rank) {
    for (Tensor& parameter : net.parameters()) parameter.mutable_grad() = Tensor();
    loss(net, rank).backward();
    for (size_t i = 0; i < net.parameters().size(); ++i) {
      const Tensor gradient = net.parameters()[i].grad();
      if (rank == 0)
        sums.push_back(gradient.clone());
      else
        sums[i] += gradient;
    }
  }
  for (Tensor& sum : sums) sum /= size;
  return sums;
}

std::vector<Tensor> GradientsOf(const Net& net) {
  std::vector<Tensor> gradients;
  for (const Tensor& parameter : net.parameters()) gradients.push_back(parameter.grad().clone());
  return gradients;
}

bool SameBits(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    const Tensor left = a[i].contiguous(), right = b[i].contiguous();
    if (left.sizes() != right.sizes() ||
        std::memcmp(left.data_ptr(), right.data_ptr(), left.nbytes()) != 0)
      return false;
  }
  return true;
}

/// One module for each rank, all alike but for their start values (Create makes those equal too).
/// Made on the test's thread, for LibTorch's random numbers are the process's.
class DistributedDataParallelTest : public ::testing::Test {
 protected:
  static constexpr int kSize = 2;

  DistributedDataParallelTest() {
    torch::set_num_threads(1);
    for (int rank = 0; rank < kSizeMax; ++rank) nets_.push_back(std::make_shared<Net>(rank));
  }

  /// `body` on each of kSize ranks with its net and its DistributedDataParallel.
  void Run(const std::function<void(Group&, Net&, DistributedDataParallel&)>& body,
           DistributedDataParallel::Config config = {}, int size = kSize) {
    ThreadGang(size).Run([&](Group& group) {
      Net& net = NetOf(group);
      ASSERT_OK_AND_ASSIGN(const auto parallel,
                           DistributedDataParallel::Create(net, group, config));
      body(group, net, *parallel);
      // Until all are done: a member that leaves is a lost peer to the others.
      (void)group.Barrier()->Wait();
    });
  }

  Net& NetOf(const Group& group) { return *nets_[static_cast<size_t>(group.rank().value())]; }

  static constexpr int kSizeMax = 4;
  std::vector<std::shared_ptr<Net>> nets_;
};

TEST_F(DistributedDataParallelTest, StartStateIsThatOfRankZero) {
  ThreadGang(2).Run([&](Group& group) {
    const int rank = group.rank().value();
    torch::nn::Module module;
    const Tensor transposed = torch::full({2, 3}, static_cast<float>(rank)).t();
    module.register_parameter("transposed", transposed);
    module.register_parameter("double", torch::full({3}, rank, torch::kDouble));
    module.register_buffer("counter", torch::full({}, rank, torch::kLong));
    module.register_buffer("mask", torch::full({3}, rank == 1, torch::kBool));
    module.register_buffer("none", torch::empty({0}));

    ASSERT_OK_AND_ASSIGN(const auto parallel, DistributedDataParallel::Create(module, group, {}));

    EXPECT_TRUE(module.named_parameters()["transposed"].eq(0).all().item<bool>());
    EXPECT_TRUE(module.named_parameters()["double"].eq(0).all().item<bool>());
    EXPECT_EQ(module.named_buffers()["counter"].item<int64_t>(), 0);
    EXPECT_FALSE(module.named_buffers()["mask"].any().item<bool>());
  });
}

class DistributedDataParallelSizesTest : public DistributedDataParallelTest,
                                         public ::testing::WithParamInterface<int> {};

TEST_P(DistributedDataParallelSizesTest, GradientsAreTheMeanBitForBit) {
  const auto loss = [](Net& net, int rank) { return LossOf(net, InputOf(rank)); };
  const auto expected = MeanGradients(*std::make_shared<Net>(0), GetParam(), loss);

  Run(
      [&](Group& group, Net& net, DistributedDataParallel& parallel) {
        ASSERT_OK(parallel.Backward(loss(net, group.rank().value())));
        EXPECT_TRUE(SameBits(GradientsOf(net), expected));
      },
      {}, GetParam());
}

TEST_P(DistributedDataParallelSizesTest, GradientsAreThoseOfOneProcessOnTheGlobalBatch) {
  Net one(0);
  std::vector<Tensor> inputs;
  for (int rank = 0; rank < GetParam(); ++rank) inputs.push_back(InputOf(rank));
  LossOf(one, torch::cat(inputs)).backward();

  Run(
      [&](Group& group, Net& net, DistributedDataParallel& parallel) {
        ASSERT_OK(parallel.Backward(LossOf(net, InputOf(group.rank().value()))));
        for (size_t i = 0; i < one.parameters().size(); ++i) {
          EXPECT_TRUE(
              torch::allclose(net.parameters()[i].grad(), one.parameters()[i].grad(), 1e-5, 1e-7));
        }
      },
      {}, GetParam());
}

INSTANTIATE_TEST_SUITE_P(Ranks, DistributedDataParallelSizesTest, ::testing::Values(1, 2, 3, 4));

TEST_F(DistributedDataParallelTest, BucketSizesChangeNothingButTheirNumber) {
  const auto loss = [](Net& net, int rank) { return LossOf(net, InputOf(rank)); };
  const auto expected = MeanGradients(*std::make_shared<Net>(0), kSize, loss);

  for (const auto& [first_bytes, other_bytes, buckets] :
       {std::tuple<size_t, size_t, size_t>{1, 1, 6}, {12, 200, 3}, {1 << 20, 1 << 20, 1}}) {
    Run(
        [&, bucket_count = buckets](Group& group, Net& net, DistributedDataParallel& parallel) {
          EXPECT_EQ(parallel.bucket_count(), bucket_count);
          net.zero_grad();
          ASSERT_OK(parallel.Backward(loss(net, group.rank().value())));
          EXPECT_TRUE(SameBits(GradientsOf(net), expected));
        },
        {.first_bucket_bytes = first_bytes, .bucket_bytes = other_bytes});
  }
}

/// Every way to begin a step. Three steps of SGD must end with the bits of one process that
/// averages.
struct ZeroGrad {
  const char* name;
  std::function<void(Net&, torch::optim::Optimizer&)> clear;
  bool create_graph = false;
};

class DistributedDataParallelZeroGradTest : public DistributedDataParallelTest,
                                            public ::testing::WithParamInterface<ZeroGrad> {};

TEST_P(DistributedDataParallelZeroGradTest, StepsEndWithTheBitsOfOneProcess) {
  Net one(0);
  torch::optim::SGD reference(one.parameters(), torch::optim::SGDOptions(0.1).momentum(0.9));
  for (int64_t step = 0; step < 3; ++step) {
    const auto mean = MeanGradients(
        one, kSize, [step](Net& net, int rank) { return LossOf(net, InputOf(rank, step)); });
    for (size_t i = 0; i < mean.size(); ++i) one.parameters()[i].mutable_grad() = mean[i];
    reference.step();
  }

  Run([&](Group& group, Net& net, DistributedDataParallel& parallel) {
    torch::optim::SGD optimizer(net.parameters(), torch::optim::SGDOptions(0.1).momentum(0.9));
    for (int64_t step = 0; step < 3; ++step) {
      GetParam().clear(net, optimizer);
      Tensor loss = LossOf(net, InputOf(group.rank().value(), step));
      if (GetParam().create_graph) {
        loss.backward({}, /*retain_graph=*/true, /*create_graph=*/true);
        ASSERT_OK(parallel.Synchronize());
      } else {
        ASSERT_OK(parallel.Backward(loss));
      }
      optimizer.step();
    }
    EXPECT_TRUE(SameBits(net.parameters(), one.parameters()));
  });
}

INSTANTIATE_TEST_SUITE_P(
    Spellings, DistributedDataParallelZeroGradTest,
    ::testing::Values(
        ZeroGrad{"Optimizer",
                 [](Net&, torch::optim::Optimizer& optimizer) { optimizer.zero_grad(); }},
        ZeroGrad{"Module", [](Net& net, torch::optim::Optimizer&) { net.zero_grad(); }},
        ZeroGrad{"Undefined",
                 [](Net& net, torch::optim::Optimizer&) {
                   for (Tensor& parameter : net.parameters()) parameter.mutable_grad() = Tensor();
                 }},
        ZeroGrad{"Fill",
                 [](Net& net, torch::optim::Optimizer&) {
                   for (Tensor& parameter : net.parameters()) {
                     if (parameter.grad().defined()) parameter.mutable_grad().zero_();
                   }
                 }},
        ZeroGrad{"Fresh",
                 [](Net& net, torch::optim::Optimizer&) {
                   for (Tensor& parameter : net.parameters())
                     parameter.mutable_grad() = torch::zeros_like(parameter);
                 }},
        ZeroGrad{"CreateGraph", [](Net& net, torch::optim::Optimizer&) { net.zero_grad(); }, true}),
    [](const auto& suite) { return std::string(suite.param.name); });

TEST_F(DistributedDataParallelTest, GradientsAddUpOverSynchronizedPasses) {
  const auto loss = [](Net& net, int rank) {
    return LossOf(net, InputOf(rank, 0)) + LossOf(net, InputOf(rank, 1));
  };
  const auto expected = MeanGradients(*std::make_shared<Net>(0), kSize, loss);

  Run([&](Group& group, Net& net, DistributedDataParallel& parallel) {
    for (int64_t pass = 0; pass < 2; ++pass) {
      ASSERT_OK(parallel.Backward(LossOf(net, InputOf(group.rank().value(), pass))));
    }
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_TRUE(torch::allclose(net.parameters()[i].grad(), expected[i], 1e-5, 1e-7));
    }
  });
}

TEST_F(DistributedDataParallelTest, SecondPassWithoutSynchronizeIsAnErrorWithAName) {
  Run([&](Group& group, Net& net, DistributedDataParallel& parallel) {
    LossOf(net, InputOf(group.rank().value())).backward();
    LossOf(net, InputOf(group.rank().value())).backward();

    const Status status = parallel.Synchronize();

    EXPECT_THAT(status, StatusIs(Code::kFailedPrecondition,
                                 HasSubstr("' got a second gradient before Synchronize")));
    EXPECT_FALSE(parallel.Synchronize().ok());
  });
}

TEST_F(DistributedDataParallelTest, NoSyncAddsUpLocallyAndTheLastPassSendsAll) {
  // The parameters of "extra" get their gradients under NoSync alone.
  const auto loss = [](Net& net, int rank) {
    return LossOf(net, InputOf(rank, 0)) + LossOf(net, InputOf(rank, 1), /*use_extra=*/false);
  };
  const auto expected = MeanGradients(*std::make_shared<Net>(0), kSize, loss);

  Run([&](Group& group, Net& net, DistributedDataParallel& parallel) {
    {
      const auto no_sync = parallel.NoSync();
      ASSERT_OK(parallel.Backward(LossOf(net, InputOf(group.rank().value(), 0))));
    }
    ASSERT_OK(
        parallel.Backward(LossOf(net, InputOf(group.rank().value(), 1), /*use_extra=*/false)));
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_TRUE(torch::allclose(net.parameters()[i].grad(), expected[i], 1e-5, 1e-7)) << i;
    }
  });
}

TEST_F(DistributedDataParallelTest, UnusedParametersAreNamedOnEveryRankAndTrainingMayGoOn) {
  Run([&](Group& group, Net& net, DistributedDataParallel& parallel) {
    const bool uses_extra = group.rank().value() == 0;

    const Status status = parallel.Backward(LossOf(net, InputOf(0), uses_extra));

    EXPECT_THAT(status, StatusIs(Code::kFailedPrecondition,
                                 HasSubstr("2 of the parameters: 'extra.bias', 'extra.weight'")));
    EXPECT_EQ(status.message().find("this one among them") == std::string::npos, uses_extra);
    EXPECT_OK(parallel.Backward(LossOf(net, InputOf(0))));
  });
}

TEST_F(DistributedDataParallelTest, AllowedUnusedParametersCountAsZeros) {
  const DistributedDataParallel::Config config{.unused_parameters = Unused::kAllow};
  Net one(0);
  LossOf(one, InputOf(0)).backward();
  const Tensor expected = one.extra->weight.grad() / kSize;

  Run(
      [&](Group& group, Net& net, DistributedDataParallel& parallel) {
        ASSERT_OK(parallel.Backward(LossOf(net, InputOf(0), group.rank().value() == 0)));
        EXPECT_TRUE(SameBits({net.extra->weight.grad()}, {expected}));
      },
      config);
}

TEST_F(DistributedDataParallelTest, ParameterUnusedEverywhereKeepsNoGradient) {
  Run(
      [&](Group&, Net& net, DistributedDataParallel& parallel) {
        ASSERT_OK(parallel.Backward(LossOf(net, InputOf(0), /*use_extra=*/false)));
        EXPECT_FALSE(net.extra->weight.grad().defined());
        EXPECT_TRUE(net.second->weight.grad().defined());
      },
      {.unused_parameters = Unused::kAllow});
}

struct TiedNet : torch::nn::Module {
  TiedNet() {
    torch::manual_seed(1);
    layer = register_module("layer", torch::nn::Linear(kFeatures, 3));
    register_parameter("tied", layer->weight);
  }
  Tensor Loss(const Tensor& x) {
    return (layer->forward(x) + x.mm(named_parameters()["tied"].t()).pow(2)).mean();
  }
  torch::nn::Linear layer{nullptr};
};

TEST_F(DistributedDataParallelTest, TiedParameterCountsOnce) {
  TiedNet one, nets[kSize];
  one.Loss(torch::cat(std::vector<Tensor>{InputOf(0), InputOf(1)})).backward();

  ThreadGang(kSize).Run([&](Group& group) {
    TiedNet& net = nets[group.rank().value()];
    ASSERT_OK_AND_ASSIGN(const auto parallel, DistributedDataParallel::Create(net, group, {}));
    ASSERT_OK(parallel->Backward(net.Loss(InputOf(group.rank().value()))));
    EXPECT_TRUE(torch::allclose(net.layer->weight.grad(), one.layer->weight.grad(), 1e-5, 1e-7));
  });
}

TEST_F(DistributedDataParallelTest, FrozenParameterIsLeftAloneAndMayNotThaw) {
  for (auto& net : nets_) net->first->weight.set_requires_grad(false);

  Run([&](Group& group, Net& net, DistributedDataParallel& parallel) {
    ASSERT_OK(parallel.Backward(LossOf(net, InputOf(group.rank().value()))));
    EXPECT_FALSE(net.first->weight.grad().defined());

    net.first->weight.set_requires_grad(true);
    EXPECT_THAT(
        parallel.Backward(LossOf(net, InputOf(0))),
        StatusIs(Code::kFailedPrecondition, HasSubstr("'first.weight' requires a gradient now")));
  });
}

TEST_F(DistributedDataParallelTest, ModulesThatDifferAreRefusedByRank) {
  nets_[1] = std::make_shared<Net>(1, /*hidden=*/7);

  ThreadGang(3).Run([&](Group& group) {
    EXPECT_THAT(DistributedDataParallel::Create(NetOf(group), group, {}),
                StatusIs(Code::kFailedPrecondition, HasSubstr("on rank 1")));
  });
}

TEST_F(DistributedDataParallelTest, ConfigurationsThatDifferAreRefused) {
  ThreadGang(2).Run([&](Group& group) {
    DistributedDataParallel::Config config;
    config.bucket_bytes = group.rank().value() == 0 ? 100 : 200;
    EXPECT_THAT(DistributedDataParallel::Create(NetOf(group), group, config),
                StatusIs(Code::kFailedPrecondition));
  });
}

// A queue of collectives has room for 4,096.
TEST_F(DistributedDataParallelTest, ModuleOfMoreTensorsThanAQueueHolds) {
  constexpr int kTensors = 4500;
  ThreadGang(2).Run([](Group& group) {
    const float start = static_cast<float>(group.rank().value()) + 1;
    torch::nn::Module module;
    for (int i = 0; i < kTensors; ++i) {
      module.register_parameter("p" + std::to_string(i), torch::full({1 + i % 3}, start + i));
      module.register_buffer("b" + std::to_string(i), torch::full({2, 2}, start * i).t());
    }
    module.register_parameter("large", torch::full({500'000}, start));

    ASSERT_OK_AND_ASSIGN(const auto parallel,
                         DistributedDataParallel::Create(module, group, {.bucket_bytes = 1}));

    const auto parameters = module.parameters();
    const auto buffers = module.buffers();
    for (int i = 0; i < kTensors; ++i) {
      ASSERT_TRUE(parameters[i].eq(1 + i).all().item<bool>()) << i;
      ASSERT_TRUE(buffers[i].eq(i).all().item<bool>()) << i;
    }
    ASSERT_TRUE(parameters.back().eq(1).all().item<bool>());
    Tensor loss = torch::zeros({});
    for (const Tensor& parameter : parameters) loss = loss + parameter.sum() * start;
    ASSERT_OK(parallel->Backward(loss));
    for (const Tensor& parameter : parameters) {
      ASSERT_TRUE(parameter.grad().eq(1.5).all().item<bool>());
    }
  });
}

TEST_F(DistributedDataParallelTest, HalfPrecisionGradientsAreAveraged) {
  for (const auto dtype : {torch::kBFloat16, torch::kFloat16}) {
    ThreadGang(2).Run([&](Group& group) {
      torch::nn::Module module;
      const Tensor weight =
          module.register_parameter("weight", torch::ones({1000}, torch::dtype(dtype)));
      ASSERT_OK_AND_ASSIGN(const auto parallel, DistributedDataParallel::Create(module, group, {}));
      const float slope = group.rank() == base::GroupRank(0) ? 1.0f : 4.0f;
      ASSERT_OK(parallel->Backward((weight.to(torch::kFloat) * slope).sum()));
      EXPECT_EQ(weight.grad().scalar_type(), dtype);
      EXPECT_TRUE(weight.grad().eq(2.5).all().item<bool>());
      (void)group.Barrier()->Wait();
    });
  }
}

TEST_F(DistributedDataParallelTest, GradientsTravelIn16BitsAndAreTheSameOnAllRanks) {
  const auto loss = [](Net& net, int rank) { return LossOf(net, InputOf(rank)); };
  const auto expected = MeanGradients(*std::make_shared<Net>(0), 3, loss);
  for (const Dtype wire : {Dtype::kBf16, Dtype::kF16}) {
    std::vector<std::vector<Tensor>> got(3);
    Run(
        [&](Group& group, Net& net, DistributedDataParallel& parallel) {
          net.zero_grad();
          ASSERT_OK(parallel.Backward(loss(net, group.rank().value())));
          got[static_cast<size_t>(group.rank().value())] = GradientsOf(net);
        },
        {.wire = wire}, 3);

    EXPECT_TRUE(SameBits(got[0], got[1]) && SameBits(got[0], got[2]));
    EXPECT_FALSE(SameBits(got[0], expected));
    for (size_t i = 0; i < expected.size(); ++i)
      EXPECT_TRUE(torch::allclose(got[0][i], expected[i], 1e-2, 1e-2)) << i;
  }
}

TEST_F(DistributedDataParallelTest, WhoHadAGradientIsExactIn16Bits) {
  Run(
      [&](Group& group, Net& net, DistributedDataParallel& parallel) {
        const Status status = parallel.Backward(LossOf(net, InputOf(0), group.rank().value() < 2));
        EXPECT_THAT(status, StatusIs(Code::kFailedPrecondition, HasSubstr("2 of the parameters")));
        EXPECT_OK(parallel.Backward(LossOf(net, InputOf(0))));
      },
      {.wire = Dtype::kBf16}, 3);
}

TEST_F(DistributedDataParallelTest, ErrorFeedbackGivesBackWhatRoundingLost) {
  constexpr float kSlope = 1 + 1.0f / 1024;  // to bf16 it is 1
  constexpr int kPasses = 16;
  for (const bool error_feedback : {false, true}) {
    ThreadGang(2).Run([&](Group& group) {
      torch::nn::Module module;
      const Tensor weight = module.register_parameter("weight", torch::ones({1000}));
      ASSERT_OK_AND_ASSIGN(
          const auto parallel,
          DistributedDataParallel::Create(
              module, group, {.wire = Dtype::kBf16, .error_feedback = error_feedback}));
      Tensor sum = torch::zeros({1000});
      for (int pass = 0; pass < kPasses; ++pass) {
        module.zero_grad();
        ASSERT_OK(parallel->Backward((weight * kSlope).sum()));
        sum += weight.grad();
      }
      if (error_feedback) {
        EXPECT_TRUE(torch::allclose(sum, torch::full({1000}, kPasses * kSlope), 0, 1.0 / 128));
        EXPECT_FALSE(sum.eq(kPasses).any().item<bool>());
      } else {
        EXPECT_TRUE(sum.eq(kPasses).all().item<bool>());
      }
      (void)group.Barrier()->Wait();
    });
  }
}

TEST_F(DistributedDataParallelTest, ErrorFeedbackWithoutRoundingIsRefusedAndTheGroupStaysWhole) {
  ThreadGang(2).Run([&](Group& group) {
    EXPECT_THAT(
        DistributedDataParallel::Create(NetOf(group), group, {.error_feedback = true}).status(),
        StatusIs(Code::kInvalidArgument, HasSubstr("error feedback without rounding")));
    EXPECT_OK(group.Barrier()->Wait());
  });
}

TEST_F(DistributedDataParallelTest, GradientsOfF64HaveOneBucket) {
  for (auto& net : nets_) net->to(torch::kDouble);
  Run([&](Group& group, Net& net, DistributedDataParallel& parallel) {
    EXPECT_EQ(parallel.bucket_count(), 1u);
    const Tensor x = InputOf(group.rank().value()).to(torch::kDouble);
    EXPECT_OK(parallel.Backward(LossOf(net, x)));
  });
}

TEST_F(DistributedDataParallelTest, RefusalOfOneRankIsToldToAll) {
  const auto refused_on_rank_1 = [](const Status& status, Group& group, Code code) {
    if (group.rank().value() == 1) {
      EXPECT_THAT(status, StatusIs(code));
    } else {
      EXPECT_THAT(status, StatusIs(Code::kAborted, HasSubstr("rank 1 failed here with ")));
    }
    EXPECT_OK(group.Barrier()->Wait());
  };
  ThreadGang gang(2);
  gang.timeout = std::chrono::seconds(20);
  gang.Run([&](Group& group) {
    DistributedDataParallel::Config config;
    if (group.rank().value() == 1) config.bucket_bytes = 0;
    const auto no_bucket = DistributedDataParallel::Create(NetOf(group), group, config);
    refused_on_rank_1(no_bucket.status(), group, Code::kInvalidArgument);

    torch::nn::Module module;
    module.register_parameter("here", torch::ones({2}));
    module.register_buffer(
        "there", torch::ones({2}, group.rank().value() == 1 ? torch::kMeta : torch::kCPU));
    const auto on_device = DistributedDataParallel::Create(module, group, {});
    refused_on_rank_1(on_device.status(), group, Code::kUnimplemented);
  });
}

TEST_F(DistributedDataParallelTest, ErrorsInASubGroupNameRanksOfTheWorld) {
  const std::vector<base::Rank> members = {base::Rank(3), base::Rank(5)};
  nets_[1] = std::make_shared<Net>(1, /*hidden=*/7);
  ThreadGang(members).Run([&](Group& group) {
    EXPECT_THAT(DistributedDataParallel::Create(NetOf(group), group, {}),
                StatusIs(Code::kFailedPrecondition, HasSubstr("on rank 5")));
  });

  nets_[1] = std::make_shared<Net>(1);
  ThreadGang(members).Run([&](Group& group) {
    Net& net = NetOf(group);
    ASSERT_OK_AND_ASSIGN(const auto parallel, DistributedDataParallel::Create(net, group, {}));
    const bool fails = group.rank().value() == 0;
    const Tensor loss = fails ? net.forward(InputOf(0)) : LossOf(net, InputOf(1));  // no scalar
    const Status status = parallel->Backward(loss);
    if (fails) {
      EXPECT_FALSE(status.ok());
    } else {
      EXPECT_THAT(status.ToString(), HasSubstr("scalar outputs [rank 3]"));
    }
  });
}

TEST_F(DistributedDataParallelTest, ModuleWithoutTrainedParametersIsRefused) {
  ThreadGang(1).Run([](Group& group) {
    torch::nn::Module module;
    EXPECT_THAT(DistributedDataParallel::Create(module, group, {}),
                StatusIs(Code::kInvalidArgument));
  });
}

// Without the abort, rank 1 would wait for rank 0's buckets until the deadline.
TEST_F(DistributedDataParallelTest, ErrorOfOneRankReachesTheOthersWithItsCause) {
  Run([&](Group& group, Net& net, DistributedDataParallel& parallel) {
    if (group.rank().value() == 0) {
      EXPECT_THAT(parallel.Backward(net.forward(InputOf(0))),
                  Not(base::testing::IsOk()));  // no scalar
    } else {
      const Status status = parallel.Backward(LossOf(net, InputOf(1)));
      EXPECT_THAT(status.ToString(),
                  HasSubstr("grad can be implicitly created only for scalar outputs"));
    }
  });
}

TEST_F(DistributedDataParallelTest, ChangedDtypeIsNamed) {
  Run([&](Group&, Net& net, DistributedDataParallel& parallel) {
    net.to(torch::kDouble);
    EXPECT_THAT(parallel.Backward(LossOf(net, InputOf(0).to(torch::kDouble))).message(),
                HasSubstr("has changed since DistributedDataParallel was made"));
  });
}

TEST_F(DistributedDataParallelTest, ModuleIsOrdinaryAgainAfterTheEnd) {
  Run([](Group& group, Net& net, DistributedDataParallel& parallel) {
    ASSERT_OK(parallel.Backward(LossOf(net, InputOf(group.rank().value()))));
  });
  const auto averaged = GradientsOf(*nets_[0]);

  // No hook calls the dead objects, and the gradients lie in memory that is still there.
  LossOf(*nets_[0], InputOf(0)).backward();
  nets_[0]->zero_grad();
  Run([&](Group& group, Net& net, DistributedDataParallel& parallel) {
    net.zero_grad();
    ASSERT_OK(parallel.Backward(LossOf(net, InputOf(group.rank().value()))));
    EXPECT_TRUE(SameBits(GradientsOf(net), averaged));
  });
}

// A graph keeps the nodes alive on which the hooks were.
TEST_F(DistributedDataParallelTest, GraphThatOutlivesItCallsNoDeadHook) {
  Tensor losses[kSize];
  Run([&](Group& group, Net& net, DistributedDataParallel&) {
    losses[group.rank().value()] = LossOf(net, InputOf(0));
  });

  losses[0].backward();

  Net one(0);
  LossOf(one, InputOf(0)).backward();
  EXPECT_TRUE(SameBits(GradientsOf(*nets_[0]), GradientsOf(one)));
}

TEST_F(DistributedDataParallelTest, EmptyShareTakesPart) {
  Run([&](Group& group, Net& net, DistributedDataParallel& parallel) {
    const int64_t samples = group.rank().value() == 0 ? kShare : 0;
    const Tensor loss = net.forward(InputOf(0, 0, samples)).pow(2).sum();
    ASSERT_OK(parallel.Backward(loss));
    EXPECT_TRUE(torch::isfinite(net.first->weight.grad()).all().item<bool>());
    EXPECT_TRUE(net.first->weight.grad().ne(0).any().item<bool>());
  });
}

TEST_F(DistributedDataParallelTest, BuffersFollowRankZero) {
  ThreadGang(2).Run([](Group& group) {
    torch::nn::BatchNorm1d norm(kFeatures);
    ASSERT_OK_AND_ASSIGN(const auto parallel, DistributedDataParallel::Create(*norm, group, {}));
    ASSERT_OK(parallel->Backward(norm->forward(InputOf(group.rank().value())).pow(2).sum()));

    torch::nn::BatchNorm1d one(kFeatures);
    one->forward(InputOf(0));
    EXPECT_TRUE(
        SameBits({norm->running_mean, norm->running_var}, {one->running_mean, one->running_var}));
  });
}

}  // namespace
}  // namespace lockstep::train
