// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/rank/sampler/distributed_sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "runtime/base/random.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::rank {
namespace {

using base::Code;
using base::GroupRank;
using base::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using State = DistributedSampler::State;

std::vector<DistributedSampler> Gang(int world_size, int64_t dataset_size, int64_t global_batch,
                                     uint64_t seed = 1) {
  std::vector<DistributedSampler> samplers;
  for (int rank = 0; rank < world_size; ++rank) {
    samplers.push_back(
        DistributedSampler::Create({dataset_size, global_batch, seed, GroupRank(rank), world_size})
            .value());
  }
  return samplers;
}

/// The samples of one step, in rank order.
std::vector<int64_t> Step(std::vector<DistributedSampler>& samplers) {
  std::vector<int64_t> all;
  for (DistributedSampler& sampler : samplers) {
    const auto share = sampler.Next();
    all.insert(all.end(), share.indices.begin(), share.indices.end());
    sampler.Commit();
  }
  return all;
}

TEST(DistributedSamplerTest, EachSampleComesExactlyOnceAnEpoch) {
  auto samplers = Gang(4, 1003, 64);

  for (int epoch = 0; epoch < 3; ++epoch) {
    std::set<int64_t> seen;
    int64_t count = 0;
    while (samplers[0].state().epoch == epoch) {
      for (const int64_t index : Step(samplers)) {
        seen.insert(index);
        ++count;
      }
    }
    EXPECT_EQ(count, 1003);
    EXPECT_THAT(seen, SizeIs(1003));
  }
}

TEST(DistributedSamplerTest, StepsAreTheSameForAnyNumberOfRanks) {
  auto one = Gang(1, 1003, 64);
  auto three = Gang(3, 1003, 64);
  auto eight = Gang(8, 1003, 64);

  for (int step = 0; step < 40; ++step) {
    const auto expected = Step(one);
    EXPECT_EQ(Step(three), expected);
    EXPECT_EQ(Step(eight), expected);
  }
}

TEST(DistributedSamplerTest, LastStepIsSharedWithinOneSample) {
  auto samplers = Gang(4, 70, 64);
  Step(samplers);

  std::vector<size_t> sizes;
  for (const auto& sampler : samplers) {
    sizes.push_back(sampler.Next().indices.size());
    EXPECT_EQ(sampler.Next().count, 6);
  }

  EXPECT_EQ(sizes, (std::vector<size_t>{1, 2, 1, 2}));
}

TEST(DistributedSamplerTest, ShareMayBeEmptyWhenLessIsLeftThanRanks) {
  auto samplers = Gang(4, 65, 64);
  Step(samplers);

  EXPECT_THAT(samplers[0].Next().indices, IsEmpty());
  EXPECT_THAT(samplers[3].Next().indices, SizeIs(1));
  EXPECT_EQ(samplers[0].Next().count, 1);
}

TEST(DistributedSamplerTest, EpochsAndSeedsHaveOrdersOfTheirOwn) {
  auto sampler = Gang(1, 100, 100);
  auto other_seed = Gang(1, 100, 100, 2);

  const auto first = Step(sampler);

  EXPECT_NE(Step(sampler), first);
  EXPECT_NE(Step(other_seed), first);
}

TEST(DistributedSamplerTest, NextWithoutCommitGivesTheSameAgain) {
  auto samplers = Gang(2, 100, 10);

  EXPECT_EQ(samplers[1].Next().indices, samplers[1].Next().indices);
}

// A gang that dies at any step and comes back with another number of ranks loses and repeats
// nothing.
TEST(DistributedSamplerTest, ThousandKillsAndResizesLoseAndRepeatNothing) {
  base::Random random(11);
  for (int run = 0; run < 1000; ++run) {
    const auto dataset_size = static_cast<int64_t>(1 + random.Below(300));
    const auto batch = static_cast<int64_t>(1 + random.Below(40));
    State state{random.Next(), 0, 0, dataset_size, batch};
    std::map<int64_t, int> seen;
    while (state.epoch == 0) {
      auto samplers = Gang(static_cast<int>(1 + random.Below(8)), dataset_size, batch);
      for (auto& sampler : samplers) ASSERT_OK(sampler.Restore(state));
      for (uint64_t steps = random.Below(5); steps > 0 && samplers[0].state().epoch == 0; --steps) {
        for (const int64_t index : Step(samplers)) ++seen[index];
      }
      state = samplers[0].state();
    }
    ASSERT_THAT(seen, SizeIs(static_cast<size_t>(dataset_size))) << run;
    for (const auto& [index, times] : seen) ASSERT_EQ(times, 1) << run;
  }
}

TEST(DistributedSamplerTest, StepsPerEpochCountTheShortOne) {
  EXPECT_EQ(Gang(1, 64, 64)[0].steps_per_epoch(), 1);
  EXPECT_EQ(Gang(1, 65, 64)[0].steps_per_epoch(), 2);
}

TEST(DistributedSamplerTest, StateOfAnotherTrainingIsRefused) {
  auto sampler = std::move(Gang(1, 100, 10)[0]);

  EXPECT_THAT(sampler.Restore({1, 0, 0, 99, 10}),
              StatusIs(Code::kInvalidArgument, HasSubstr("99 samples; this one has 100")));
  EXPECT_THAT(sampler.Restore({1, 0, 0, 100, 20}),
              StatusIs(Code::kInvalidArgument, HasSubstr("steps of 20 samples over all ranks; "
                                                         "these are of 10")));
  EXPECT_THAT(sampler.Restore({1, 0, 100, 100, 10}),
              StatusIs(Code::kInvalidArgument, HasSubstr("cursor 100")));
  EXPECT_THAT(sampler.Restore({1, 0, -1, 100, 10}), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(sampler.Restore({1, -1, 0, 100, 10}), StatusIs(Code::kInvalidArgument));
  EXPECT_EQ(sampler.state(), (State{1, 0, 0, 100, 10}));
}

TEST(DistributedSamplerTest, BadConfigurationNamesTheField) {
  EXPECT_THAT(DistributedSampler::Create({0, 1, 0, GroupRank(0), 1}),
              StatusIs(Code::kInvalidArgument, HasSubstr("dataset_size is 0")));
  EXPECT_THAT(DistributedSampler::Create({1, 0, 0, GroupRank(0), 1}),
              StatusIs(Code::kInvalidArgument, HasSubstr("global_batch is 0")));
  EXPECT_OK(DistributedSampler::Create({1, int64_t{1} << 31, 0, GroupRank(0), 1}));
  EXPECT_THAT(DistributedSampler::Create({1, (int64_t{1} << 31) + 1, 0, GroupRank(0), 1}),
              StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(DistributedSampler::Create({1, 1, 0, GroupRank(2), 2}),
              StatusIs(Code::kInvalidArgument, HasSubstr("rank 2 of a world of 2")));
  EXPECT_THAT(DistributedSampler::Create({1, 1, 0, GroupRank(-1), 2}),
              StatusIs(Code::kInvalidArgument));
}

}  // namespace
}  // namespace lockstep::rank
