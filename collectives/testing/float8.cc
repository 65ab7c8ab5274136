// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/testing/float8.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace lockstep::collectives::testing {
namespace {

constexpr int kSign = 0x80;

struct Format {
  int mantissa_bits;
  int bias;
  int greatest;  // the bits of the greatest finite number
};
constexpr Format kE4m3{3, 7, 0x7e};
constexpr Format kE5m2{2, 15, 0x7b};

double Positive(const Format& format, int bits) {
  const int ones = 1 << format.mantissa_bits;
  const int exponent = bits >> format.mantissa_bits;
  const double mantissa = static_cast<double>(bits % ones) / ones;
  return exponent == 0 ? std::ldexp(mantissa, 1 - format.bias)
                       : std::ldexp(1 + mantissa, exponent - format.bias);
}

/// All that are not negative: they grow with their bits.
std::array<double, kSign> Positives(const Format& format) {
  std::array<double, kSign> all{};
  for (int bits = 0; bits < kSign; ++bits) all[static_cast<size_t>(bits)] = Positive(format, bits);
  return all;
}

const Format& FormatOf(Dtype dtype) { return dtype == Dtype::kF8E5m2 ? kE5m2 : kE4m3; }

const std::array<double, kSign>& PositivesOf(Dtype dtype) {
  static const std::array<double, kSign> e4m3 = Positives(kE4m3), e5m2 = Positives(kE5m2);
  return dtype == Dtype::kF8E5m2 ? e5m2 : e4m3;
}

}  // namespace

bool IsFloat8(Dtype dtype) { return dtype == Dtype::kF8E4m3 || dtype == Dtype::kF8E5m2; }

double LoadFloat8(Dtype dtype, uint8_t bits) {
  const int magnitude = bits & (kSign - 1);
  if (magnitude > FormatOf(dtype).greatest) return std::numeric_limits<double>::quiet_NaN();
  const double value = PositivesOf(dtype)[static_cast<size_t>(magnitude)];
  return (bits & kSign) != 0 ? -value : value;
}

uint8_t StoreFloat8(Dtype dtype, double value) {
  const auto& all = PositivesOf(dtype);
  const auto end = all.begin() + FormatOf(dtype).greatest;
  const double magnitude = std::abs(value);
  const auto above = std::lower_bound(all.begin(), end, magnitude);
  auto bits = above - all.begin();
  if (bits > 0) {
    const double down = magnitude - all[static_cast<size_t>(bits - 1)];
    const double up = all[static_cast<size_t>(bits)] - magnitude;
    if (down < up || (down == up && bits % 2 != 0)) --bits;
  }
  return static_cast<uint8_t>(bits | (value < 0 ? kSign : 0));
}

}  // namespace lockstep::collectives::testing
