// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_GRADIENT_HALF_PRECISION_IMPL_H_
#define LOCKSTEP_COLLECTIVES_GRADIENT_HALF_PRECISION_IMPL_H_
/// The loops of half_precision.h, compiled once for each instruction set, in a namespace of that
/// name (LOCKSTEP_CONVERSIONS). Without contraction of a * b + c, so that all of them give the same
/// bits. No inline function of the library may be left in an object of these: the linker might take
/// the copy that this machine cannot execute for everybody's.

#include <cstddef>
#include <cstdint>

#include "collectives/types.h"

namespace lockstep::collectives::LOCKSTEP_CONVERSIONS {

// Without branches, so that the compiler makes vector loops of them. Bits as IEEE 754 has them;
// engine/reduce_kernels, which adds up what these make, rounds alike (half_precision_test).

struct Bf16Format {
  static uint16_t Round(float value) {
    const auto bits = __builtin_bit_cast(uint32_t, value);
    const uint32_t rounded = bits + 0x7fffu + ((bits >> 16) & 1);
    const bool is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
    return static_cast<uint16_t>(is_nan ? 0x7fc0u : rounded >> 16);
  }
  static float Widen(uint16_t stored) {
    return __builtin_bit_cast(float, static_cast<uint32_t>(stored) << 16);
  }
};

struct F16Format {
  static uint16_t Round(float value) {
    const auto bits = __builtin_bit_cast(uint32_t, value);
    const uint32_t sign = (bits >> 16) & 0x8000u;
    const uint32_t magnitude = bits & 0x7fffffffu;
    const uint32_t normal = (magnitude + 0xc8000fffu + ((magnitude >> 13) & 1)) >> 13;
    // Below 2^-14 the adder rounds at the right bit.
    const float shifted = __builtin_bit_cast(float, magnitude) + 0.5f;
    const uint32_t subnormal = __builtin_bit_cast(uint32_t, shifted) - 0x3f000000u;
    uint32_t rounded = magnitude < 0x38800000u ? subnormal : normal;
    rounded = magnitude >= 0x477ff000u ? 0x7c00u : rounded;  // 65520 and more rounds to infinity
    rounded = magnitude > 0x7f800000u ? 0x7e00u : rounded;   // NaN
    return static_cast<uint16_t>(sign | rounded);
  }
  static float Widen(uint16_t stored) {
    const uint32_t sign = static_cast<uint32_t>(stored & 0x8000u) << 16;
    const uint32_t rest = stored & 0x7fffu;
    // As an f32 whose exponent is too small by 112; the product also repairs subnormals.
    const float scaled = __builtin_bit_cast(float, rest << 13) * 0x1p112f;
    const uint32_t magnitude =
        rest >= 0x7c00u ? (rest << 13) | 0x7f800000u : __builtin_bit_cast(uint32_t, scaled);
    return __builtin_bit_cast(float, sign | magnitude);
  }
};

template <class Format>
static void CompressAs(const float* __restrict values, float scale, float* __restrict residual,
                       uint16_t* __restrict out, size_t count) {
  if (residual == nullptr) {
    for (size_t i = 0; i < count; ++i) out[i] = Format::Round(values[i] * scale);
    return;
  }
  for (size_t i = 0; i < count; ++i) {
    const float wanted = values[i] * scale + residual[i];
    const uint16_t stored = Format::Round(wanted);
    const float lost = wanted - Format::Widen(stored);
    const bool finite = (__builtin_bit_cast(uint32_t, lost) & 0x7f800000u) != 0x7f800000u;
    out[i] = stored;
    residual[i] = finite ? lost : 0.0f;
  }
}

template <class Format>
static void DecompressAs(const uint16_t* __restrict values, float* __restrict out, size_t count) {
  for (size_t i = 0; i < count; ++i) out[i] = Format::Widen(values[i]);
}

void Compress(Dtype to, const float* values, float scale, float* residual, uint16_t* out,
              size_t count) {
  if (to == Dtype::kF16) {
    CompressAs<F16Format>(values, scale, residual, out, count);
  } else {
    CompressAs<Bf16Format>(values, scale, residual, out, count);
  }
}

void Decompress(Dtype from, const uint16_t* values, float* out, size_t count) {
  if (from == Dtype::kF16) {
    DecompressAs<F16Format>(values, out, count);
  } else {
    DecompressAs<Bf16Format>(values, out, count);
  }
}

}  // namespace lockstep::collectives::LOCKSTEP_CONVERSIONS

#endif  // LOCKSTEP_COLLECTIVES_GRADIENT_HALF_PRECISION_IMPL_H_
