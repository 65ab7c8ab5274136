// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/gradient/half_precision.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "collectives/engine/reduce_kernels.h"
#include "runtime/base/random.h"

namespace lockstep::collectives {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

uint16_t Stored(Dtype to, float value) {
  uint16_t out = 0;
  Compress(to, &value, 1, nullptr, &out, 1);
  return out;
}

float Widened(Dtype from, uint16_t stored) {
  float out = 0;
  Decompress(from, &stored, &out, 1);
  return out;
}

/// The value of 16 bits from the definition of the format: sign, exponent, fraction.
double Defined(Dtype format, uint16_t stored) {
  const int fraction_bits = format == Dtype::kF16 ? 10 : 7;
  const int bias = format == Dtype::kF16 ? 15 : 127;
  const int exponent = (stored & 0x7fff) >> fraction_bits;
  const double fraction =
      (stored & ((1 << fraction_bits) - 1)) / static_cast<double>(1 << fraction_bits);
  const double magnitude =
      exponent == 0 ? std::ldexp(fraction, 1 - bias) : std::ldexp(1 + fraction, exponent - bias);
  return (stored & 0x8000) != 0 ? -magnitude : magnitude;
}

bool IsFinite(Dtype format, uint16_t stored) {
  return (stored & 0x7fff) < (format == Dtype::kF16 ? 0x7c00 : 0x7f80);
}

/// `value` rounded to the nearest of its two neighbours, found by bisection over all of them, to
/// even on a tie.
double Nearest(Dtype format, double value) {
  const uint16_t end = format == Dtype::kF16 ? 0x7bff : 0x7f7f;
  uint16_t low = 0, high = end;
  const double magnitude = std::abs(value);
  while (high - low > 1) {
    const auto middle = static_cast<uint16_t>((low + high) / 2);
    (Defined(format, middle) <= magnitude ? low : high) = middle;
  }
  const double below = magnitude - Defined(format, low), above = Defined(format, high) - magnitude;
  const uint16_t chosen = below < above || (below == above && low % 2 == 0) ? low : high;
  return std::copysign(Defined(format, chosen), value);
}

/// A neighbour of `value` that lies half way between two values of the format (where both are
/// normal).
float HalfWay(Dtype format, float value) {
  const uint32_t half = format == Dtype::kF16 ? 0x1000 : 0x8000;
  uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  bits = (bits & ~(half - 1)) | half;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

class HalfPrecisionTest : public ::testing::TestWithParam<Dtype> {};

TEST_P(HalfPrecisionTest, AllValuesOf16BitsComeBackAsTheyWere) {
  for (uint32_t stored = 0; stored <= 0xffff; ++stored) {
    const auto bits = static_cast<uint16_t>(stored);
    const float widened = Widened(GetParam(), bits);
    if (!IsFinite(GetParam(), bits)) {
      EXPECT_FALSE(std::isfinite(widened));
      continue;
    }
    EXPECT_EQ(widened, static_cast<float>(Defined(GetParam(), bits)));
    EXPECT_EQ(Stored(GetParam(), widened), bits);
  }
}

TEST_P(HalfPrecisionTest, RoundsOnceToTheNearestAsADoubleReferenceDoes) {
  base::Random random(5);
  for (int i = 0; i < 20000; ++i) {
    const double exponent =
        static_cast<double>(random.Next() % 44) - 28;  // f16: subnormals and up to its end
    const double fraction = 1 + static_cast<double>(random.Next() % (1 << 23)) / (1 << 23);
    auto value = static_cast<float>(
        std::ldexp(i % 2 == 0 ? fraction : -fraction, static_cast<int>(exponent)));
    if (i % 3 == 0) value = HalfWay(GetParam(), value);
    if (GetParam() == Dtype::kF16 && std::abs(value) >= 65504) continue;
    EXPECT_EQ(Widened(GetParam(), Stored(GetParam(), value)),
              static_cast<float>(Nearest(GetParam(), value)))
        << value;
  }
}

TEST_P(HalfPrecisionTest, RoundsAsTheKernelsThatAddUp) {
  const ReduceKernel sum = FindReduceKernel(GetParam(), Reduction::kSum);
  const ReduceKernel widen_and_round = FindReduceKernel(GetParam(), Reduction::kAverage);
  base::Random random(6);
  for (int i = 0; i < 20000; ++i) {
    const auto a = static_cast<uint16_t>(random.Next()), b = static_cast<uint16_t>(random.Next());
    if (!IsFinite(GetParam(), a) || !IsFinite(GetParam(), b)) continue;
    const std::byte* in[] = {reinterpret_cast<const std::byte*>(&a),
                             reinterpret_cast<const std::byte*>(&b)};
    uint16_t theirs = 0;
    for (const ReduceKernel kernel : {sum, widen_and_round}) {
      kernel(reinterpret_cast<std::byte*>(&theirs), in, nullptr, 2, 1);
      const float added = Widened(GetParam(), a) + Widened(GetParam(), b);
      EXPECT_EQ(Stored(GetParam(), kernel == sum ? added : added / 2), theirs);
    }
  }
}

TEST_P(HalfPrecisionTest, EveryInstructionSetGivesTheSameBits) {
  base::Random random(8);
  constexpr size_t kCount = 10007;
  std::vector<float> values(kCount);
  for (float& value : values) {
    const auto bits = static_cast<uint32_t>(random.Next());
    std::memcpy(&value, &bits, sizeof value);
  }
  const auto convert = [&](const ConversionVariant& variant) {
    std::vector<float> residual(kCount, 0x1p-9f), back(kCount);
    std::vector<uint16_t> out(kCount);
    variant.compress(GetParam(), values.data(), 0.3f, residual.data(), out.data(), kCount);
    variant.decompress(GetParam(), out.data(), back.data(), kCount);
    std::vector<uint32_t> bits(2 * kCount);
    std::memcpy(bits.data(), residual.data(), kCount * sizeof(float));
    std::memcpy(bits.data() + kCount, back.data(), kCount * sizeof(float));
    return bits;
  };
  const std::vector<ConversionVariant> variants = ConversionVariants();

  for (const ConversionVariant& variant : variants) {
    EXPECT_EQ(convert(variant), convert(variants.front())) << variant.name;
  }
}

TEST_P(HalfPrecisionTest, SpecialValuesStayWhatTheyAre) {
  EXPECT_EQ(Widened(GetParam(), Stored(GetParam(), kInfinity)), kInfinity);
  EXPECT_EQ(Widened(GetParam(), Stored(GetParam(), -kInfinity)), -kInfinity);
  EXPECT_TRUE(std::isnan(Widened(GetParam(), Stored(GetParam(), std::nanf("")))));
  EXPECT_TRUE(std::signbit(Widened(GetParam(), Stored(GetParam(), -0.0f))));
  EXPECT_EQ(Stored(GetParam(), 1e-40f) & 0x7fff, GetParam() == Dtype::kF16 ? 0 : 1);
}

TEST_P(HalfPrecisionTest, ScaleIsPartOfTheOneRounding) {
  const float value = 100000.0f;
  uint16_t out = 0;

  Compress(GetParam(), &value, 0.25f, nullptr, &out, 1);

  EXPECT_EQ(Widened(GetParam(), out), static_cast<float>(Nearest(GetParam(), 25000.0)));
}

TEST_P(HalfPrecisionTest, WithAResidualNothingIsLostOverManyCalls) {
  const std::vector<float> values = {1.0f + 0x1p-13f, 3.14159f, -1e-3f, 0.0f};
  std::vector<float> residual(values.size());
  std::vector<uint16_t> out(values.size());
  std::vector<double> with(values.size()), without(values.size());
  constexpr int kCalls = 1000;

  for (int call = 0; call < kCalls; ++call) {
    Compress(GetParam(), values.data(), 1, residual.data(), out.data(), values.size());
    for (size_t i = 0; i < values.size(); ++i) {
      with[i] += Widened(GetParam(), out[i]);
      without[i] += Widened(GetParam(), Stored(GetParam(), values[i]));
    }
  }

  for (size_t i = 0; i < values.size(); ++i) {
    const double wanted = kCalls * static_cast<double>(values[i]);
    EXPECT_NEAR(with[i], wanted, std::abs(values[i]) / 100) << values[i];
    if (i == 0) {
      EXPECT_GT(std::abs(without[i] - wanted), 0.1);
    }
  }
}

TEST_P(HalfPrecisionTest, WhatIsNotFiniteLeavesNoResidual) {
  const std::vector<float> values = {kInfinity, -kInfinity, std::nanf(""), 3e38f};
  std::vector<float> residual(values.size(), 0.5f);
  std::vector<uint16_t> out(values.size());

  Compress(GetParam(), values.data(), 1, residual.data(), out.data(), values.size());

  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(residual[i], 0.0f);
  EXPECT_TRUE(std::isfinite(residual[3]));
}

INSTANTIATE_TEST_SUITE_P(Formats, HalfPrecisionTest, ::testing::Values(Dtype::kF16, Dtype::kBf16),
                         [](const auto& format) { return std::string(DtypeName(format.param)); });

}  // namespace
}  // namespace lockstep::collectives
