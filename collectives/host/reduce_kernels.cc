// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/reduce_kernels.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace lockstep::collectives {
namespace {

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
struct Min {
  template <class T>
  static T Combine(T a, T b) {
    return b < a ? b : a;
  }
};
struct Max {
  template <class T>
  static T Combine(T a, T b) {
    return a < b ? b : a;
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

template <class Op, class T>
T Finish(T value, int source_count) {
  if constexpr (!std::is_same_v<Op, Average>) {
    return value;
  } else if constexpr (std::is_floating_point_v<T>) {
    return value / static_cast<T>(source_count);
  } else if constexpr (std::is_signed_v<T>) {
    return static_cast<T>(value / source_count);
  } else {
    return static_cast<T>(value / static_cast<Wide<T>>(source_count));
  }
}

template <class T, class Op>
void Reduce(std::byte* out, const std::byte* const* in, int source_count, size_t count) {
  At<T>* const to = reinterpret_cast<At<T>*>(out);
  const At<T>* const first = reinterpret_cast<const At<T>*>(in[0]);
  if (source_count == 2) {
    const At<T>* const second = reinterpret_cast<const At<T>*>(in[1]);
    // `to` is one of the sources or apart from both: no element depends on another.
#if defined(__clang__)
#pragma clang loop vectorize(assume_safety)
#else
#pragma GCC ivdep
#endif
    for (size_t i = 0; i < count; ++i)
      to[i] = Finish<Op, T>(Op::template Combine<T>(first[i], second[i]), 2);
    return;
  }
  // Sums go to a block in the first-level cache first, because `to` may be a source that is still
  // to be read.
  constexpr size_t kBlock = 4096 / sizeof(T);
  T block[kBlock];
  for (size_t begin = 0; begin < count; begin += kBlock) {
    const size_t length = std::min(kBlock, count - begin);
    std::memcpy(block, first + begin, length * sizeof(T));
    for (int source = 1; source < source_count; ++source) {
      const At<T>* const from = reinterpret_cast<const At<T>*>(in[source]) + begin;
      for (size_t i = 0; i < length; ++i) block[i] = Op::template Combine<T>(block[i], from[i]);
    }
    for (size_t i = 0; i < length; ++i) to[begin + i] = Finish<Op, T>(block[i], source_count);
  }
}

template <class T>
ReduceKernel FindFor(Reduction reduction) {
  switch (reduction) {
    case Reduction::kSum: return &Reduce<T, Sum>;
    case Reduction::kProduct: return &Reduce<T, Product>;
    case Reduction::kMin: return &Reduce<T, Min>;
    case Reduction::kMax: return &Reduce<T, Max>;
    case Reduction::kAverage: return &Reduce<T, Average>;
    case Reduction::kBitAnd:
      if constexpr (std::is_integral_v<T>) return &Reduce<T, BitAnd>;
      return nullptr;
    case Reduction::kBitOr:
      if constexpr (std::is_integral_v<T>) return &Reduce<T, BitOr>;
      return nullptr;
    case Reduction::kBitXor:
      if constexpr (std::is_integral_v<T>) return &Reduce<T, BitXor>;
      return nullptr;
    case Reduction::kPremultipliedSum:
    case Reduction::kNone: return nullptr;
  }
  return nullptr;
}

}  // namespace

ReduceKernel FindReduceKernel(Dtype dtype, Reduction reduction) {
  switch (dtype) {
    case Dtype::kU8: return FindFor<uint8_t>(reduction);
    case Dtype::kI8: return FindFor<int8_t>(reduction);
    case Dtype::kI16: return FindFor<int16_t>(reduction);
    case Dtype::kI32: return FindFor<int32_t>(reduction);
    case Dtype::kI64: return FindFor<int64_t>(reduction);
    case Dtype::kU32: return FindFor<uint32_t>(reduction);
    case Dtype::kU64: return FindFor<uint64_t>(reduction);
    case Dtype::kF32: return FindFor<float>(reduction);
    case Dtype::kF64: return FindFor<double>(reduction);
    case Dtype::kBool:
    case Dtype::kF16:
    case Dtype::kBf16:
    case Dtype::kF8E4m3:
    case Dtype::kF8E5m2: return nullptr;
  }
  return nullptr;
}

}  // namespace lockstep::collectives
