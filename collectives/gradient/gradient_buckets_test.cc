// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/gradient/gradient_buckets.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <vector>

#include "collectives/gradient/half_precision.h"
#include "collectives/testing/host_makers.h"
#include "collectives/testing/thread_gang.h"
#include "runtime/base/random.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives {
namespace {

using base::Code;
using base::testing::IsOk;
using base::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using Gradient = GradientBuckets::Gradient;
using Config = GradientBuckets::Config;

const std::vector<Gradient> kOddSizes = {
    {"last.bias", 1}, {"last.weight", 1021}, {"empty", 0}, {"counts", 3, Dtype::kF64},
    {"mid", 17},      {"huge", 70001},       {"first", 5}};

/// Of `member`, in [-1, 1).
std::vector<float> Values(int member, size_t gradient, size_t count) {
  base::Random random(1000 * gradient + static_cast<size_t>(member) + 1);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(2 * random.Unit() - 1);
  return values;
}

std::vector<float> ReadF32(const GradientBuckets& buckets, size_t gradient, size_t count) {
  std::vector<float> values(count);
  if (count > 0) std::memcpy(values.data(), buckets.memory(gradient), count * sizeof(float));
  return values;
}

std::unique_ptr<GradientBuckets> MakeBuckets(Group& group, std::vector<Gradient> gradients,
                                             Config config) {
  auto made = GradientBuckets::Create(std::move(gradients), group, config);
  EXPECT_THAT(made, IsOk());
  return std::move(made).value();
}

/// Every gradient of the step, the even ones in place.
void PutAll(GradientBuckets& buckets, const std::vector<Gradient>& gradients, int member) {
  for (size_t i = 0; i < gradients.size(); ++i) {
    const std::vector<float> values = Values(member, i, gradients[i].count);
    const std::vector<double> wide(values.begin(), values.end());
    const bool is_f64 = gradients[i].dtype == Dtype::kF64;
    const void* from = is_f64 ? static_cast<const void*>(wide.data()) : values.data();
    const size_t bytes = gradients[i].count * DtypeBytes(gradients[i].dtype);
    if (i % 2 == 0) {
      if (bytes > 0) std::memcpy(buckets.memory(i), from, bytes);
      from = buckets.memory(i);
    }
    ASSERT_THAT(buckets.Put(i, from), IsOk());
  }
}

/// What holds over each backend.
class BucketsOverTest : public ::testing::TestWithParam<testing::HostMaker> {};
INSTANTIATE_TEST_SUITE_P(Over, BucketsOverTest, ::testing::ValuesIn(testing::HostMakers()),
                         testing::HostMakerName);

TEST_P(BucketsOverTest, OddSizesComeBackAsTheExactMeansInTheirPlaces) {
  for (const size_t bucket_bytes : {size_t{1}, size_t{5000}, size_t{1} << 20}) {
    testing::ThreadGang(2, GetParam().make()).Run([bucket_bytes](Group& group) {
      const auto buckets = MakeBuckets(
          group, kOddSizes, {.first_bucket_bytes = bucket_bytes, .bucket_bytes = bucket_bytes});
      for (int step = 0; step < 3; ++step) {
        PutAll(*buckets, kOddSizes, group.rank().value());
        ASSERT_THAT(buckets->Finish(), IsOk());

        for (size_t i = 0; i < kOddSizes.size(); ++i) {
          if (kOddSizes[i].dtype != Dtype::kF32) continue;
          const std::vector<float> a = Values(0, i, kOddSizes[i].count),
                                   b = Values(1, i, kOddSizes[i].count);
          const std::vector<float> got = ReadF32(*buckets, i, kOddSizes[i].count);
          for (size_t k = 0; k < got.size(); ++k)
            ASSERT_EQ(got[k], (a[k] + b[k]) / 2) << kOddSizes[i].name << k;
          ASSERT_EQ(reinterpret_cast<uintptr_t>(buckets->memory(i)) % 64, 0u);
        }
        double mean = 0;
        std::memcpy(&mean, buckets->memory(3), sizeof mean);
        EXPECT_EQ(mean, (double{Values(0, 3, 3)[0]} + double{Values(1, 3, 3)[0]}) / 2);
      }
    });
  }
}

TEST(GradientBucketsTest, ABucketHoldsNeighboursOfOneDtypeUpToItsSize) {
  testing::ThreadGang(1).Run([](Group& group) {
    const std::vector<Gradient> gradients = {
        {"a", 16}, {"b", 16}, {"c", 16}, {"d", 16, Dtype::kF64}, {"e", 16}, {"f", 1000}};

    EXPECT_EQ(MakeBuckets(group, gradients, {.first_bucket_bytes = 64, .bucket_bytes = 128})
                  ->bucket_count(),
              5u);
    EXPECT_EQ(MakeBuckets(group, gradients, {})->bucket_count(), 3u);
  });
}

TEST_P(BucketsOverTest, AnyOrderOfReadinessWillDo) {
  testing::ThreadGang(3, GetParam().make()).Run([](Group& group) {
    const std::vector<Gradient> gradients = {{"a", 100}, {"b", 100}, {"c", 100}, {"d", 100}};
    const auto buckets =
        MakeBuckets(group, gradients, {.first_bucket_bytes = 1, .bucket_bytes = 800});
    const size_t orders[][4] = {{3, 2, 1, 0}, {0, 1, 2, 3}, {1, 3, 0, 2}};

    for (int step = 0; step < 6; ++step) {
      for (const size_t i : orders[(group.rank().value() + step) % 3]) {
        const std::vector<float> values(
            100, static_cast<float>(group.rank().value() + 1) * static_cast<float>(i + 1));
        ASSERT_THAT(buckets->Put(i, values.data()), IsOk());
      }
      ASSERT_THAT(buckets->Finish(), IsOk());
      for (size_t i = 0; i < 4; ++i)
        EXPECT_EQ(ReadF32(*buckets, i, 100)[99], 2.0f * static_cast<float>(i + 1));
    }
  });
}

class CompressedBucketsTest
    : public ::testing::TestWithParam<std::tuple<testing::HostMaker, Dtype>> {
 protected:
  static std::shared_ptr<BackendMaker> Make() { return std::get<0>(GetParam()).make(); }
  static Dtype wire() { return std::get<1>(GetParam()); }
};

float Rounded(Dtype wire, double value, float scale = 1) {
  const auto wide = static_cast<float>(value);
  uint16_t rounded = 0;
  float back = 0;
  Compress(wire, &wide, scale, nullptr, &rounded, 1);
  Decompress(wire, &rounded, &back, 1);
  return back;
}

/// The mean of four in 16 bits, from sums in double that are exact: inputs are rounded, then the
/// result, nothing between; in wide groups, whose members take turns on two machines, what is
/// of each machine too.
TEST_P(CompressedBucketsTest, EachInputAndTheMeanAreRoundedOnce) {
  constexpr size_t kCount = 50021;
  constexpr int kSize = 4;  // a power of two: dividing f16 by it before is exact too
  testing::ThreadGang(kSize, Make()).Run([](Group& group) {
    const Dtype wire = CompressedBucketsTest::wire();
    const auto buckets = MakeBuckets(group, {{"weights", kCount}}, {.wire = wire});
    const std::vector<float> mine = Values(group.rank().value(), 0, kCount);
    for (int step = 0; step < 2; ++step) {  // without feedback all are alike
      ASSERT_THAT(buckets->Put(0, mine.data()), IsOk());
      ASSERT_THAT(buckets->Finish(), IsOk());

      const std::vector<float> got = ReadF32(*buckets, 0, kCount);
      std::vector<std::vector<double>> inputs;
      for (int member = 0; member < kSize; ++member) {
        const std::vector<float> values = Values(member, 0, kCount);
        std::vector<double>& input = inputs.emplace_back();
        for (const float value : values)
          input.push_back(Rounded(wire, value, wire == Dtype::kF16 ? 1.0f / kSize : 1));
      }
      const double divisor = wire == Dtype::kF16 ? 1 : 2;  // of each of two sums
      for (size_t i = 0; i < kCount; ++i) {
        double even = (inputs[0][i] + inputs[2][i]) / divisor;
        double odd = (inputs[1][i] + inputs[3][i]) / divisor;
        if (group.info().backend == "wide") {
          even = Rounded(wire, even);
          odd = Rounded(wire, odd);
        }
        ASSERT_EQ(got[i], Rounded(wire, (even + odd) / divisor)) << i;
      }
    }
  });
}

/// Gradient descent on sum of (x - target)^2 / 2 by steps so small that 16 bits of the gradient
/// decide nothing of themselves: what each step loses adds up, unless it is fed back.
double DistanceAfterDescent(const std::shared_ptr<BackendMaker>& maker, Dtype wire,
                            bool error_feedback) {
  constexpr size_t kCount = 257;
  double distance = 0;
  testing::ThreadGang(2, maker).Run([&](Group& group) {
    const auto buckets =
        MakeBuckets(group, {{"x", kCount}}, {.wire = wire, .error_feedback = error_feedback});
    std::vector<double> x(kCount), gradient_sum(kCount);
    for (int step = 0; step < 2000; ++step) {
      std::vector<float> gradient(kCount);
      for (size_t i = 0; i < kCount; ++i) {
        // Each member's is far off, by the same in opposite directions: only their mean says
        // anything.
        const double bias = group.rank().value() == 0 ? 700.3 : -700.3;
        gradient[i] = static_cast<float>(x[i] - 0.001 * static_cast<double>(i) +
                                         bias * (1 + 0.01 * static_cast<double>(i)));
      }
      EXPECT_THAT(buckets->Put(0, gradient.data()), IsOk());
      EXPECT_THAT(buckets->Finish(), IsOk());
      const std::vector<float> mean = ReadF32(*buckets, 0, kCount);
      for (size_t i = 0; i < kCount; ++i) x[i] -= 0.01 * static_cast<double>(mean[i]);
    }
    if (group.rank().value() != 0) return;
    for (size_t i = 0; i < kCount; ++i)
      distance += std::abs(x[i] - 0.001 * static_cast<double>(i)) / kCount;
  });
  return distance;
}

TEST_P(CompressedBucketsTest, ErrorFeedbackConvergesWhereRoundingAloneDoesNot) {
  const double plain = DistanceAfterDescent(Make(), wire(), false);
  const double fed_back = DistanceAfterDescent(Make(), wire(), true);

  EXPECT_LT(fed_back, plain / 4) << "plain " << plain << ", fed back " << fed_back;
  EXPECT_LT(fed_back, wire() == Dtype::kF16 ? 0.01 : 0.1);
}

TEST_P(CompressedBucketsTest, OtherDtypesTravelAsTheyAre) {
  testing::ThreadGang(2, Make()).Run([](Group& group) {
    const auto buckets = MakeBuckets(group, {{"wide", 3, Dtype::kF64}}, {.wire = wire()});
    const std::vector<double> values(3, 1 + 0x1p-40);

    ASSERT_THAT(buckets->Put(0, values.data()), IsOk());
    ASSERT_THAT(buckets->Finish(), IsOk());

    EXPECT_EQ(std::memcmp(buckets->memory(0), values.data(), 24), 0);
  });
}

TEST_P(CompressedBucketsTest, ManyStepsInARowNeverMixTheirMeans) {
  testing::ThreadGang(2, Make()).Run([](Group& group) {
    const std::vector<Gradient> gradients(20, {"g", 999});
    const auto buckets = MakeBuckets(
        group, gradients, {.first_bucket_bytes = 4000, .bucket_bytes = 8000, .wire = wire()});
    for (int step = 0; step < 100; ++step) {
      const std::vector<float> values(999, static_cast<float>(step));
      for (size_t i = 0; i < gradients.size(); ++i)
        ASSERT_THAT(buckets->Put(i, values.data()), IsOk());
      ASSERT_THAT(buckets->Finish(), IsOk());
      for (size_t i = 0; i < gradients.size(); ++i) {
        ASSERT_EQ(ReadF32(*buckets, i, 999), values) << "step " << step << " gradient " << i;
      }
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Wires, CompressedBucketsTest,
                         ::testing::Combine(::testing::ValuesIn(testing::HostMakers()),
                                            ::testing::Values(Dtype::kF16, Dtype::kBf16)),
                         [](const auto& wire) {
                           return std::get<0>(wire.param).name +
                                  std::string(DtypeName(std::get<1>(wire.param)));
                         });

TEST_P(BucketsOverTest, LargeGradientsDoNotOverflowF16InTheSum) {
  testing::ThreadGang(4, GetParam().make()).Run([](Group& group) {
    const auto buckets = MakeBuckets(group, {{"g", 1}}, {.wire = Dtype::kF16});
    const float value = 60000;

    ASSERT_THAT(buckets->Put(0, &value), IsOk());
    ASSERT_THAT(buckets->Finish(), IsOk());

    EXPECT_EQ(ReadF32(*buckets, 0, 1)[0], 60000.0f);
  });
}

TEST(GradientBucketsTest, MistakesAreNamedAndCanBeMended) {
  testing::ThreadGang(2).Run([](Group& group) {
    const auto buckets = MakeBuckets(group, {{"layer.weight", 8}, {"layer.bias", 4}}, {});
    const std::vector<float> values(8, 1.0f);
    std::byte* const weight = buckets->memory(0);

    EXPECT_THAT(buckets->Put(1, weight + 4),
                StatusIs(Code::kInvalidArgument, HasSubstr("'layer.bias' was put from memory "
                                                           "that overlaps the buckets")));
    ASSERT_THAT(buckets->Put(0, values.data()), IsOk());
    EXPECT_THAT(
        buckets->Put(0, values.data()),
        StatusIs(Code::kFailedPrecondition, HasSubstr("'layer.weight' was put twice in one step")));
    EXPECT_THAT(buckets->Finish(),
                StatusIs(Code::kFailedPrecondition,
                         HasSubstr("no gradient in this step for 1 of 2: 'layer.bias'")));
    ASSERT_THAT(buckets->Put(1, values.data()), IsOk());
    EXPECT_THAT(buckets->Finish(), IsOk());
  });
}

TEST(GradientBucketsTest, ConfigsThatMeanNothingAreRefused) {
  testing::ThreadGang(1).Run([](Group& group) {
    const std::vector<Gradient> one = {{"g", 1}};
    const auto refusal = [&](std::vector<Gradient> gradients, Config config) {
      return GradientBuckets::Create(std::move(gradients), group, config).status();
    };

    EXPECT_THAT(refusal({}, {}), StatusIs(Code::kInvalidArgument, HasSubstr("no gradients")));
    EXPECT_THAT(refusal(one, {.bucket_bytes = 0}),
                StatusIs(Code::kInvalidArgument, HasSubstr("0 bytes")));
    EXPECT_THAT(refusal(one, {.wire = Dtype::kI8}),
                StatusIs(Code::kInvalidArgument, HasSubstr("travel as i8")));
    EXPECT_THAT(refusal(one, {.error_feedback = true}),
                StatusIs(Code::kInvalidArgument, HasSubstr("without rounding")));
    EXPECT_THAT(refusal({{"mask", 1, Dtype::kBool}}, {}),
                StatusIs(Code::kUnimplemented, HasSubstr("bool")));
  });
}

TEST_P(BucketsOverTest, MembersThatDifferAreNamedBeforeAnythingIsReduced) {
  testing::ThreadGang(3, GetParam().make()).Run([](Group& group) {
    const bool other = group.rank().value() == 1;

    const auto made = GradientBuckets::Create({{other ? "b" : "a", 4}}, group, {});

    EXPECT_THAT(made.status(), StatusIs(Code::kFailedPrecondition,
                                        HasSubstr("differ from those of rank 0 in a name, size, "
                                                  "dtype or order, or in the Config, on rank 1")));
    EXPECT_THAT(group.Barrier()->Wait(), IsOk());
  });
}

TEST_P(BucketsOverTest, AMemberThatDoesNotComeIsBlamedWithTheBucket) {
  testing::ThreadGang gang(2, GetParam().make());
  gang.timeout = std::chrono::milliseconds(300);
  gang.Run([](Group& group) {
    const auto buckets = MakeBuckets(group, {{"layer.weight", 8}}, {.wire = Dtype::kBf16});
    if (group.rank().value() == 1) return;
    const std::vector<float> values(8);

    ASSERT_THAT(buckets->Put(0, values.data()), IsOk());
    const base::Status late = buckets->Finish();

    EXPECT_THAT(late, StatusIs(Code::kDeadlineExceeded, HasSubstr("rank 1 never called it")));
    EXPECT_THAT(
        late.ToString(),
        HasSubstr("while averaging the gradients of bucket 0, which begins with 'layer.weight'"));
    EXPECT_EQ(buckets->Put(0, values.data()).code(), late.code());
  });
}

TEST_P(BucketsOverTest, MayEndWhileOpsAreInFlight) {
  testing::ThreadGang(2, GetParam().make()).Run([](Group& group) {
    {
      const auto buckets =
          MakeBuckets(group, {{"g", 300000}}, {.wire = Dtype::kBf16, .error_feedback = true});
      const std::vector<float> values(300000, 1.0f);
      ASSERT_THAT(buckets->Put(0, values.data()), IsOk());
    }
    EXPECT_THAT(group.Barrier()->Wait(), IsOk());
  });
}

}  // namespace
}  // namespace lockstep::collectives
