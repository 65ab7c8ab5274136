// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/engine/reduce_kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "collectives/testing/combined.h"
#include "runtime/base/random.h"

namespace lockstep::collectives {
namespace {

constexpr size_t kCount = 1031;  // no multiple of any vector
constexpr double kScales[] = {0.5, -1.25, 3, 1e-3, 7};

std::vector<std::byte> RandomBytes(base::Random& random, size_t bytes) {
  std::vector<std::byte> data(bytes);
  for (std::byte& byte : data) byte = static_cast<std::byte>(random.Below(256));
  return data;
}

/// Which NaN comes out of two is the compiler's choice: all become one.
template <class T>
void NormalizeNans(std::vector<std::byte>& data) {
  for (size_t at = 1; at + sizeof(T) <= data.size(); at += sizeof(T)) {
    T value;
    std::memcpy(&value, data.data() + at, sizeof value);
    if (std::isnan(value)) value = std::numeric_limits<T>::quiet_NaN();
    std::memcpy(data.data() + at, &value, sizeof value);
  }
}

/// `to_all` gives `expected` to an output of its own and to one that is the first input.
void ExpectToAll(ReduceToAllKernel to_all, bool past_caches, size_t shift,
                 std::vector<const std::byte*> in, const std::byte* expected, size_t bytes,
                 Dtype dtype) {
  constexpr size_t kLine = 64;
  std::vector<std::byte> apart(bytes + 3 * kLine), in_place(bytes + 3 * kLine);
  const auto place = [shift](std::vector<std::byte>& buffer) {
    const auto address = reinterpret_cast<uintptr_t>(buffer.data());
    return buffer.data() + (kLine - address % kLine) + shift;
  };
  std::byte* const out[] = {place(apart), place(in_place)};
  std::memcpy(out[1], in[0], bytes);
  in[0] = out[1];
  out[0][bytes] = out[1][bytes] = std::byte{0x5a};
  to_all(out, 2, past_caches, in.data(), kScales, static_cast<int>(in.size()), kCount);
  for (const std::byte* const result : out) {
    std::vector<std::byte> got(result - 1, result + bytes), wanted(expected - 1, expected + bytes);
    got[0] = wanted[0] = std::byte{0};
    if (dtype == Dtype::kF32) NormalizeNans<float>(got);
    if (dtype == Dtype::kF64) NormalizeNans<double>(got);
    ASSERT_EQ(got, wanted) << DtypeName(dtype) << " past " << past_caches << " shift " << shift;
    ASSERT_EQ(result[bytes], std::byte{0x5a}) << "behind the end";
  }
}

// All bit patterns are inputs: NaNs, subnormals and infinities too.
TEST(ReduceKernelsTest, EveryVariantGivesTheSameBits) {
  const auto variants = KernelVariants();
  base::Random random(1);
  for (uint8_t d = 1; d < kDtypeLimit; ++d) {
    for (uint8_t r = 1; r < kReductionLimit; ++r) {
      const auto dtype = static_cast<Dtype>(d);
      const auto reduction = static_cast<Reduction>(r);
      for (const int sources : {1, 2, 3, 5}) {
        const size_t bytes = kCount * DtypeBytes(dtype);
        std::vector<std::vector<std::byte>> inputs;
        std::vector<const std::byte*> in;
        for (int source = 0; source < sources; ++source) {
          inputs.push_back(RandomBytes(random, bytes + 1));
          in.push_back(inputs.back().data() + 1);  // at an odd address
        }
        std::vector<std::byte> expected;
        for (const KernelVariant& variant : variants) {
          const ReduceKernels kernels = variant.find(dtype, reduction);
          ASSERT_EQ(kernels.to_one == nullptr,
                    variants[0].find(dtype, reduction).to_one == nullptr);
          ASSERT_EQ(kernels.to_one == nullptr, kernels.to_all == nullptr);
          if (kernels.to_one == nullptr) continue;
          std::vector<std::byte> out(bytes + 1);
          kernels.to_one(out.data() + 1, in.data(), kScales, sources, kCount);
          if (dtype == Dtype::kF32) NormalizeNans<float>(out);
          if (dtype == Dtype::kF64) NormalizeNans<double>(out);
          if (expected.empty()) expected = out;
          for (const bool past_caches : {false, true}) {
            for (const size_t shift : {size_t{0}, size_t{1}}) {  // a line's begin, or beside it
              ExpectToAll(kernels.to_all, past_caches, shift, in, out.data() + 1, bytes, dtype);
            }
          }
          ASSERT_EQ(out, expected) << variant.name << ": " << DtypeName(dtype) << " "
                                   << ReductionName(reduction) << " of " << sources;
        }
      }
    }
  }
}

/// Every value of `values` with every other one and a third.
template <class T>
void ExpectRight(Dtype dtype, const std::vector<T>& values) {
  std::vector<T> in[3];
  for (const T a : values) {
    for (const T b : values) {
      in[0].push_back(a);
      in[1].push_back(b);
      in[2].push_back(values[in[2].size() % values.size()]);
    }
  }
  const std::byte* sources[3];
  for (size_t r = 0; r < 3; ++r) sources[r] = reinterpret_cast<const std::byte*>(in[r].data());
  for (const KernelVariant& variant : KernelVariants()) {
    for (const Reduction reduction :
         {Reduction::kSum, Reduction::kProduct, Reduction::kMin, Reduction::kMax,
          Reduction::kAverage, Reduction::kBitAnd, Reduction::kBitOr, Reduction::kBitXor}) {
      for (const int count : {2, 3}) {
        std::vector<T> out(in[0].size());
        variant.find(dtype, reduction)
            .to_one(reinterpret_cast<std::byte*>(out.data()), sources, nullptr, count, out.size());
        for (size_t i = 0; i < out.size(); ++i) {
          T expected = testing::Combined(reduction, in[0][i], in[1][i]);
          if (count == 3) expected = testing::Combined(reduction, expected, in[2][i]);
          if (reduction == Reduction::kAverage) expected = static_cast<T>(expected / T(count));
          ASSERT_EQ(+out[i], +expected) << variant.name << ": " << DtypeName(dtype) << " "
                                        << ReductionName(reduction) << " of " << count << ", " << i;
        }
      }
    }
  }
}

// Sums wrap around, averages divide what has wrapped, and truncate towards zero.
TEST(ReduceKernelsTest, IntegersOfBothSignsAndAllSizesAreCombinedRight) {
  ExpectRight<uint8_t>(Dtype::kU8, {0, 1, 2, 3, 100, 127, 128, 200, 254, 255});
  ExpectRight<int8_t>(Dtype::kI8, {0, 1, 3, -1, -2, -7, 100, 127, -100, -128});
  ExpectRight<int16_t>(Dtype::kI16, {0, 1, 3, -1, -7, 255, 256, 32'767, -32'768});
  ExpectRight<uint32_t>(Dtype::kU32, {0, 1, 3, 70'000, 0x7fffffff, 0x80000000, 0xfffffffe});
  ExpectRight<int32_t>(Dtype::kI32, {0, 1, 3, -1, -70'000, INT32_MAX, INT32_MIN});
  ExpectRight<uint64_t>(Dtype::kU64, {0, 1, 3, uint64_t{1} << 32, uint64_t{1} << 63, UINT64_MAX});
  ExpectRight<int64_t>(Dtype::kI64, {0, 1, 3, -1, -(int64_t{1} << 32), INT64_MAX, INT64_MIN});
}

TEST(ReduceKernelsTest, BoolsAreAndedAndOred) {
  const uint8_t in[2][4] = {{0, 0, 1, 1}, {0, 1, 0, 1}};
  const std::byte* const sources[] = {reinterpret_cast<const std::byte*>(in[0]),
                                      reinterpret_cast<const std::byte*>(in[1])};
  const auto expect = [&](Reduction reduction, const std::vector<uint8_t>& expected) {
    std::vector<uint8_t> out(4, 9);
    FindReduceKernel(Dtype::kBool, reduction)(reinterpret_cast<std::byte*>(out.data()), sources,
                                              nullptr, 2, 4);
    EXPECT_EQ(out, expected) << ReductionName(reduction);
  };
  for (const Reduction reduction : {Reduction::kSum, Reduction::kMax, Reduction::kBitOr})
    expect(reduction, {0, 1, 1, 1});
  for (const Reduction reduction : {Reduction::kProduct, Reduction::kMin, Reduction::kBitAnd})
    expect(reduction, {0, 0, 0, 1});
  expect(Reduction::kBitXor, {0, 1, 1, 0});
}

/// In every element but the first one source has a NaN, each in its turn.
template <class T>
void ExpectNansWin(Dtype dtype, T one, T nan, const std::function<bool(T)>& is_nan) {
  for (const KernelVariant& variant : KernelVariants()) {
    for (const Reduction reduction : {Reduction::kMin, Reduction::kMax}) {
      for (const int sources : {2, 3, 5}) {
        std::vector<std::vector<T>> inputs(static_cast<size_t>(sources),
                                           std::vector<T>(kCount, one));
        std::vector<const std::byte*> in;
        for (size_t r = 0; r < inputs.size(); ++r) {
          for (size_t i = 1; i < kCount; ++i) {
            if (i % inputs.size() == r) inputs[r][i] = nan;
          }
          in.push_back(reinterpret_cast<const std::byte*>(inputs[r].data()));
        }
        std::vector<T> out(kCount);
        variant.find(dtype, reduction)
            .to_one(reinterpret_cast<std::byte*>(out.data()), in.data(), nullptr, sources, kCount);
        ASSERT_EQ(out[0], one) << variant.name;
        for (size_t i = 1; i < kCount; ++i) {
          ASSERT_TRUE(is_nan(out[i])) << variant.name << ": " << DtypeName(dtype) << " "
                                      << ReductionName(reduction) << " of " << sources << ", " << i;
        }
      }
    }
  }
}

// It once was that of rank 0 alone which showed.
TEST(ReduceKernelsTest, ANanOfAnySourceIsTheLeastAndTheGreatest) {
  ExpectNansWin<float>(Dtype::kF32, 1, NAN, [](float value) { return std::isnan(value); });
  ExpectNansWin<double>(Dtype::kF64, 1, NAN, [](double value) { return std::isnan(value); });
  ExpectNansWin<uint16_t>(Dtype::kBf16, 0x3f80, 0x7fc0,
                          [](uint16_t bits) { return bits == 0x7fc0; });
  ExpectNansWin<uint16_t>(Dtype::kF16, 0x3c00, 0x7e00,
                          [](uint16_t bits) { return bits == 0x7e00; });
}

float LoadBf16(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

// By way of the kernel alone: the average of one source converts to f32 and back.
uint16_t ThereAndBack(Dtype dtype, uint16_t bits) {
  const std::byte* in = reinterpret_cast<const std::byte*>(&bits);
  uint16_t out = 0;
  FindReduceKernel(dtype, Reduction::kSum)(reinterpret_cast<std::byte*>(&out), &in, nullptr, 1, 1);
  return out;
}

TEST(ReduceKernelsTest, HalfFloatsSurviveTheWayThereAndBack) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto value = static_cast<uint16_t>(bits);
    const bool is_f16_nan = (bits & 0x7c00) == 0x7c00 && (bits & 0x3ff) != 0;
    const bool is_bf16_nan = std::isnan(LoadBf16(value));
    if (!is_f16_nan) {
      ASSERT_EQ(ThereAndBack(Dtype::kF16, value), value) << "f16 " << bits;
    }
    if (!is_bf16_nan) {
      ASSERT_EQ(ThereAndBack(Dtype::kBf16, value), value) << "bf16 " << bits;
    }
  }
}

uint16_t SumOf(Dtype dtype, const std::vector<uint16_t>& values) {
  std::vector<const std::byte*> in;
  for (const uint16_t& value : values) in.push_back(reinterpret_cast<const std::byte*>(&value));
  uint16_t out = 0;
  FindReduceKernel(dtype, Reduction::kSum)(reinterpret_cast<std::byte*>(&out), in.data(), nullptr,
                                           static_cast<int>(values.size()), 1);
  return out;
}

TEST(ReduceKernelsTest, HalfFloatSumsRoundOnceToNearestEven) {
  // f16: 2048 + 1 lies between 2048 and 2050: even is 2048; 2048 + 1 + 1 is 2050 when rounded once.
  EXPECT_EQ(SumOf(Dtype::kF16, {0x6800, 0x3c00}), 0x6800);
  EXPECT_EQ(SumOf(Dtype::kF16, {0x6800, 0x3c00, 0x3c00}), 0x6801);
  EXPECT_EQ(SumOf(Dtype::kF16, {0x7bff, 0x7bff}), 0x7c00);  // above the largest: infinity
  EXPECT_EQ(SumOf(Dtype::kF16, {0x0001, 0x0001}), 0x0002);  // subnormals
  // bf16: 256 + 1 lies between 256 and 258.
  EXPECT_EQ(SumOf(Dtype::kBf16, {0x4380, 0x3f80}), 0x4380);
  EXPECT_EQ(SumOf(Dtype::kBf16, {0x4380, 0x3f80, 0x3f80}), 0x4381);
  EXPECT_TRUE(std::isnan(LoadBf16(SumOf(Dtype::kBf16, {0x7f81, 0x3f80}))));  // NaN stays NaN
}

TEST(ReduceKernelsTest, TheOutputMayBeAnyOfTheInputs) {
  for (const int sources : {2, 3}) {
    for (int place = 0; place < sources; ++place) {
      std::vector<std::vector<float>> inputs(static_cast<size_t>(sources),
                                             std::vector<float>(kCount));
      std::vector<const std::byte*> in;
      for (size_t source = 0; source < inputs.size(); ++source) {
        for (size_t i = 0; i < kCount; ++i)
          inputs[source][i] = static_cast<float>(i * (source + 1));
        in.push_back(reinterpret_cast<const std::byte*>(inputs[source].data()));
      }
      float* const out = inputs[static_cast<size_t>(place)].data();
      FindReduceKernel(Dtype::kF32, Reduction::kSum)(reinterpret_cast<std::byte*>(out), in.data(),
                                                     nullptr, sources, kCount);
      const int factor = sources == 2 ? 3 : 6;
      for (size_t i = 0; i < kCount; ++i)
        ASSERT_EQ(out[i], static_cast<float>(i * static_cast<size_t>(factor)));
    }
  }
}

}  // namespace
}  // namespace lockstep::collectives
