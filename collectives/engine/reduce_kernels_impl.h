// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_ENGINE_REDUCE_KERNELS_IMPL_H_
#define LOCKSTEP_COLLECTIVES_ENGINE_REDUCE_KERNELS_IMPL_H_
/// The kernels themselves, compiled once for each instruction set, in a namespace of that name
/// (LOCKSTEP_KERNELS). Without contraction of a * b + c, so that all of them give the same bits. No
/// inline function of the library may be left in an object of these: the linker might take the copy
/// that this machine cannot execute for everybody's (reduce_kernels_objects_test looks).

#include <cstddef>
#include <cstdint>
#include <type_traits>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "collectives/engine/reduce_kernels.h"

namespace lockstep::collectives::LOCKSTEP_KERNELS {

// A T anywhere in memory: buffers of callers need no alignment, and the vector units need none
// either.
template <class T>
struct Unaligned {
  typedef T type __attribute__((aligned(1), may_alias));
};
template <class T>
using At = typename Unaligned<T>::type;

// Signed overflow is undefined and narrow integers promote: both are computed in an unsigned type
// that wraps.
template <class T, bool = std::is_integral_v<T>>
struct WideOf {
  using type = T;
};
template <class T>
struct WideOf<T, true> {
  using type = std::conditional_t<(sizeof(T) < 4), uint32_t, std::make_unsigned_t<T>>;
};
template <class T>
using Wide = typename WideOf<T>::type;

struct Sum {
  template <class T>
  static T Combine(T a, T b) {
    return static_cast<T>(static_cast<Wide<T>>(a) + static_cast<Wide<T>>(b));
  }
};
struct Product {
  template <class T>
  static T Combine(T a, T b) {
    return static_cast<T>(static_cast<Wide<T>>(a) * static_cast<Wide<T>>(b));
  }
};
/// A NaN wins, whichever source has it. Where `a` is one, `combined` is `a`: no comparison with it
/// holds.
template <class T>
T NanOr([[maybe_unused]] T b, T combined) {
  if constexpr (std::is_floating_point_v<T>) {
    return b != b ? b : combined;
  } else {
    return combined;
  }
}
struct Min {
  template <class T>
  static T Combine(T a, T b) {
    return NanOr(b, b < a ? b : a);
  }
};
struct Max {
  template <class T>
  static T Combine(T a, T b) {
    return NanOr(b, a < b ? b : a);
  }
};
struct BitAnd {
  template <class T>
  static T Combine(T a, T b) {
    return static_cast<T>(a & b);
  }
};
struct BitOr {
  template <class T>
  static T Combine(T a, T b) {
    return static_cast<T>(a | b);
  }
};
struct BitXor {
  template <class T>
  static T Combine(T a, T b) {
    return static_cast<T>(a ^ b);
  }
};
struct Average : Sum {};
struct PremultipliedSum : Sum {};

// How a dtype lies in memory (Stored) and in what it is computed (Value).
template <class T>
struct Plain {
  using Stored = T;
  using Value = T;
  static T Load(T stored) { return stored; }
  static T Store(T value) { return value; }
};

struct Bf16 {
  using Stored = uint16_t;
  using Value = float;
  static float Load(uint16_t stored) {
    return __builtin_bit_cast(float, static_cast<uint32_t>(stored) << 16);
  }
  static uint16_t Store(float value) {
    const uint32_t bits = __builtin_bit_cast(uint32_t, value);
    const bool is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
    const uint32_t rounded = bits + 0x7fffu + ((bits >> 16) & 1);
    return static_cast<uint16_t>(is_nan ? 0x7fc0u : rounded >> 16);
  }
};

struct F16 {
  using Stored = uint16_t;
  using Value = float;
  static float Load(uint16_t stored) {
    const uint32_t sign = static_cast<uint32_t>(stored & 0x8000u) << 16;
    const uint32_t rest = stored & 0x7fffu;
    // As an f32 whose exponent is too small by 112; a subnormal is repaired by one subtraction.
    const float scaled = __builtin_bit_cast(float, rest << 13) * 0x1p112f;
    const uint32_t magnitude =
        rest >= 0x7c00u ? (rest << 13) | 0x7f800000u : __builtin_bit_cast(uint32_t, scaled);
    return __builtin_bit_cast(float, sign | magnitude);
  }
  static uint16_t Store(float value) {
    const uint32_t bits = __builtin_bit_cast(uint32_t, value);
    const uint32_t sign = (bits >> 16) & 0x8000u;
    const uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return uint16_t{0x7e00};                        // NaN
    if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);  // rounds to Inf
    if (magnitude < 0x38800000u) {  // subnormal: let the adder round at the right bit
      const float shifted = __builtin_bit_cast(float, magnitude) + 0.5f;
      return static_cast<uint16_t>(sign | (__builtin_bit_cast(uint32_t, shifted) - 0x3f000000u));
    }
    const uint32_t rounded = magnitude + 0xc8000fffu + ((magnitude >> 13) & 1);
    return static_cast<uint16_t>(sign | (rounded >> 13));
  }
};

/// What lies outside of an integer becomes its least or greatest value.
template <class V>
V Narrow(double value) {
  if constexpr (std::is_floating_point_v<V>) {
    return static_cast<V>(value);
  } else {
    constexpr int kBits = 8 * sizeof(V) - (std::is_signed_v<V> ? 1 : 0);
    constexpr double kEnd = 2.0 * static_cast<double>(uint64_t{1} << (kBits - 1));
    constexpr double kLeast = std::is_signed_v<V> ? -kEnd : 0;
    constexpr V kGreatest = static_cast<V>(~uint64_t{0} >> (64 - kBits));
    if (value >= kEnd) return kGreatest;
    return static_cast<V>(value > kLeast ? value : kLeast);
  }
}

template <class Op, class V>
V Scaled(V value, [[maybe_unused]] double scale) {
  if constexpr (std::is_same_v<Op, PremultipliedSum>) {
    return Narrow<V>(static_cast<double>(value) * scale);
  } else {
    return value;
  }
}

template <class Op, class V>
V Finish(V value, int source_count) {
  if constexpr (!std::is_same_v<Op, Average>) {
    return value;
  } else if constexpr (std::is_floating_point_v<V>) {
    return value / static_cast<V>(source_count);
  } else if constexpr (std::is_signed_v<V>) {
    return static_cast<V>(value / source_count);
  } else {
    return static_cast<V>(value / static_cast<Wide<V>>(source_count));
  }
}

/// The elements [begin, begin + count) of the sources, combined to `to`.
template <class F, class Op>
void Combine(At<typename F::Stored>* to, const std::byte* const* in, const double* scales,
             int source_count, size_t begin, size_t count) {
  using Stored = typename F::Stored;
  using V = typename F::Value;
  constexpr bool kScales = std::is_same_v<Op, PremultipliedSum>;
  const At<Stored>* const first = reinterpret_cast<const At<Stored>*>(in[0]) + begin;
  if (source_count == 2) {
    const At<Stored>* const second = reinterpret_cast<const At<Stored>*>(in[1]) + begin;
    const double scale[2] = {kScales ? scales[0] : 1, kScales ? scales[1] : 1};
    // `to` is one of the sources or apart from both: no element depends on another.
#if defined(__clang__)
#pragma clang loop vectorize(assume_safety)
#else
#pragma GCC ivdep
#endif
    for (size_t i = 0; i < count; ++i) {
      to[i] = F::Store(
          Finish<Op, V>(Op::template Combine<V>(Scaled<Op, V>(F::Load(first[i]), scale[0]),
                                                Scaled<Op, V>(F::Load(second[i]), scale[1])),
                        2));
    }
    return;
  }
  // Sums go to a block in the first-level cache first, because `to` may be a source that is still
  // to be read.
  constexpr size_t kBlock = 4096 / sizeof(V);
  V block[kBlock];
  for (size_t from = 0; from < count; from += kBlock) {
    const size_t length = count - from < kBlock ? count - from : kBlock;
    const double first_scale = kScales ? scales[0] : 1;
    for (size_t i = 0; i < length; ++i)
      block[i] = Scaled<Op, V>(F::Load(first[from + i]), first_scale);
    for (int source = 1; source < source_count; ++source) {
      const At<Stored>* const next = reinterpret_cast<const At<Stored>*>(in[source]) + begin + from;
      const double scale = kScales ? scales[source] : 1;
      for (size_t i = 0; i < length; ++i)
        block[i] = Op::template Combine<V>(block[i], Scaled<Op, V>(F::Load(next[i]), scale));
      // Else GCC 12 takes two sources in one loop (-floop-unroll-and-jam), and that without
      // vectors: half as fast for sums of four.
      __asm__ volatile("" : : "r"(block) : "memory");
    }
    for (size_t i = 0; i < length; ++i)
      to[from + i] = F::Store(Finish<Op, V>(block[i], source_count));
  }
}

template <class F, class Op>
void Reduce(std::byte* out, const std::byte* const* in, const double* scales, int source_count,
            size_t count) {
  Combine<F, Op>(reinterpret_cast<At<typename F::Stored>*>(out), in, scales, source_count, 0,
                 count);
}

typedef unsigned char Line __attribute__((vector_size(64), may_alias));
typedef Line AnyLine __attribute__((aligned(1)));

/// To an address of a whole line; neither the line nor what it was before comes into a cache.
inline void StreamLine(std::byte* to, const std::byte* line) {
#if defined(__AVX512F__)
  _mm512_stream_si512(reinterpret_cast<__m512i*>(to), _mm512_load_si512(line));
#elif defined(__SSE2__)
  for (size_t at = 0; at < 64; at += sizeof(__m128i)) {
    _mm_stream_si128(reinterpret_cast<__m128i*>(to + at),
                     _mm_load_si128(reinterpret_cast<const __m128i*>(line + at)));
  }
#else
  __builtin_memcpy(to, line, 64);
#endif
}

// Blocks are that small so that reading the next goes on while this one is written: with blocks of
// 8 KiB all_reduce of 64 MiB took half as long again.
template <class F, class Op>
void ReduceToAll(std::byte* const* out, int out_count, bool past_caches, const std::byte* const* in,
                 const double* scales, int source_count, size_t count) {
  using Stored = typename F::Stored;
  constexpr size_t kBlockBytes = 512;
  constexpr size_t kBlock = kBlockBytes / sizeof(Stored);
  alignas(64) std::byte block[kBlockBytes];
  for (int i = 0; i < out_count; ++i)
    past_caches = past_caches && reinterpret_cast<uintptr_t>(out[i]) % 64 == 0;
  for (size_t begin = 0; begin < count; begin += kBlock) {
    const size_t length = count - begin < kBlock ? count - begin : kBlock;
    Combine<F, Op>(reinterpret_cast<At<Stored>*>(block), in, scales, source_count, begin, length);
    for (int i = 0; i < out_count; ++i) {
      std::byte* const to = out[i] + begin * sizeof(Stored);
      if (length < kBlock) {
        __builtin_memcpy(to, block, length * sizeof(Stored));
      } else if (past_caches) {
        for (size_t at = 0; at < kBlockBytes; at += 64) StreamLine(to + at, block + at);
      } else {
        // Not memcpy, which may be a call, and `rep movsb` in it.
        for (size_t at = 0; at < kBlockBytes; at += sizeof(Line))
          *reinterpret_cast<AnyLine*>(to + at) = *reinterpret_cast<const Line*>(block + at);
      }
    }
  }
#if defined(__SSE2__)
  if (past_caches) _mm_sfence();
#endif
}

template <class F>
void Divide(std::byte* data, int divisor, size_t count) {
  using Stored = typename F::Stored;
  using V = typename F::Value;
  At<Stored>* const at = reinterpret_cast<At<Stored>*>(data);
  for (size_t i = 0; i < count; ++i) at[i] = F::Store(Finish<Average, V>(F::Load(at[i]), divisor));
}

template <class F, class Op>
ReduceKernels KernelsOf() {
  return {&Reduce<F, Op>, &ReduceToAll<F, Op>};
}

template <class F>
ReduceKernels FindFor(Reduction reduction) {
  constexpr bool kHasBits =
      std::is_integral_v<typename F::Value> && std::is_integral_v<typename F::Stored>;
  switch (reduction) {
    case Reduction::kSum: return KernelsOf<F, Sum>();
    case Reduction::kProduct: return KernelsOf<F, Product>();
    case Reduction::kMin: return KernelsOf<F, Min>();
    case Reduction::kMax: return KernelsOf<F, Max>();
    case Reduction::kAverage: return KernelsOf<F, Average>();
    case Reduction::kPremultipliedSum: return KernelsOf<F, PremultipliedSum>();
    case Reduction::kBitAnd:
      if constexpr (kHasBits) return KernelsOf<F, BitAnd>();
      return {};
    case Reduction::kBitOr:
      if constexpr (kHasBits) return KernelsOf<F, BitOr>();
      return {};
    case Reduction::kBitXor:
      if constexpr (kHasBits) return KernelsOf<F, BitXor>();
      return {};
    case Reduction::kNone: return {};
  }
  return {};
}

ReduceKernels FindForBool(Reduction reduction) {
  switch (reduction) {
    case Reduction::kSum:
    case Reduction::kMax:
    case Reduction::kBitOr: return KernelsOf<Plain<uint8_t>, BitOr>();
    case Reduction::kProduct:
    case Reduction::kMin:
    case Reduction::kBitAnd: return KernelsOf<Plain<uint8_t>, BitAnd>();
    case Reduction::kBitXor: return KernelsOf<Plain<uint8_t>, BitXor>();
    case Reduction::kAverage:
    case Reduction::kPremultipliedSum:
    case Reduction::kNone: return {};
  }
  return {};
}

ReduceKernels Find(Dtype dtype, Reduction reduction) {
  switch (dtype) {
    case Dtype::kBool: return FindForBool(reduction);
    case Dtype::kU8: return FindFor<Plain<uint8_t>>(reduction);
    case Dtype::kI8: return FindFor<Plain<int8_t>>(reduction);
    case Dtype::kI16: return FindFor<Plain<int16_t>>(reduction);
    case Dtype::kI32: return FindFor<Plain<int32_t>>(reduction);
    case Dtype::kI64: return FindFor<Plain<int64_t>>(reduction);
    case Dtype::kU32: return FindFor<Plain<uint32_t>>(reduction);
    case Dtype::kU64: return FindFor<Plain<uint64_t>>(reduction);
    case Dtype::kF16: return FindFor<F16>(reduction);
    case Dtype::kBf16: return FindFor<Bf16>(reduction);
    case Dtype::kF32: return FindFor<Plain<float>>(reduction);
    case Dtype::kF64: return FindFor<Plain<double>>(reduction);
    case Dtype::kF8E4m3:
    case Dtype::kF8E5m2: return {};
  }
  return {};
}

DivideKernel FindDivide(Dtype dtype) {
  switch (dtype) {
    case Dtype::kU8: return &Divide<Plain<uint8_t>>;
    case Dtype::kI8: return &Divide<Plain<int8_t>>;
    case Dtype::kI16: return &Divide<Plain<int16_t>>;
    case Dtype::kI32: return &Divide<Plain<int32_t>>;
    case Dtype::kI64: return &Divide<Plain<int64_t>>;
    case Dtype::kU32: return &Divide<Plain<uint32_t>>;
    case Dtype::kU64: return &Divide<Plain<uint64_t>>;
    case Dtype::kF16: return &Divide<F16>;
    case Dtype::kBf16: return &Divide<Bf16>;
    case Dtype::kF32: return &Divide<Plain<float>>;
    case Dtype::kF64: return &Divide<Plain<double>>;
    case Dtype::kBool:
    case Dtype::kF8E4m3:
    case Dtype::kF8E5m2: return nullptr;
  }
  return nullptr;
}

}  // namespace lockstep::collectives::LOCKSTEP_KERNELS

#endif  // LOCKSTEP_COLLECTIVES_ENGINE_REDUCE_KERNELS_IMPL_H_
