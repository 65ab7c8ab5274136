// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_TYPES_H_
#define LOCKSTEP_COLLECTIVES_TYPES_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace lockstep::collectives {

/// Values are part of the recorder's and the wire's format: only ever append.
enum class Dtype : uint8_t {
  kBool = 1,
  kU8 = 2,
  kI8 = 3,
  kI16 = 4,
  kI32 = 5,
  kI64 = 6,
  kU32 = 7,
  kU64 = 8,
  kF16 = 9,
  kBf16 = 10,
  kF32 = 11,
  kF64 = 12,
  kF8E4m3 = 13,
  kF8E5m2 = 14,
};
inline constexpr size_t kDtypeLimit = 15;  // above every value

enum class Reduction : uint8_t {
  kNone = 0,
  kSum = 1,
  kProduct = 2,
  kMin = 3,
  kMax = 4,
  kAverage = 5,
  kPremultipliedSum = 6,
  kBitAnd = 7,
  kBitOr = 8,
  kBitXor = 9,
};
inline constexpr size_t kReductionLimit = 10;

enum class OpKind : uint8_t {
  kNone = 0,
  kAllReduce = 1,
  kReduce = 2,
  kBroadcast = 3,
  kAllGather = 4,
  kAllGatherV = 5,
  kReduceScatter = 6,
  kReduceScatterV = 7,
  kAllToAll = 8,
  kAllToAllV = 9,
  kGather = 10,
  kScatter = 11,
  kBarrier = 12,
  kSend = 13,
  kRecv = 14,
  kBatch = 15,
  kInit = 16,
  kSplit = 17,
  kShrink = 18,
  kGrow = 19,
  kAllocate = 20,
};
inline constexpr size_t kOpKindLimit = 21;

/// Whether ops of this kind combine elements.
bool Reduces(OpKind kind);
size_t DtypeBytes(Dtype dtype);
std::string_view DtypeName(Dtype dtype);              // "f32"
std::string_view ReductionName(Reduction reduction);  // "sum"
std::string_view OpKindName(OpKind kind);             // "all_reduce"

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_TYPES_H_
