// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/nccl/nccl_calls.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "collectives/engine/parts.h"

namespace lockstep::collectives {
namespace {

NcclDtype DtypeOf(Dtype dtype) {
  switch (dtype) {
    case Dtype::kI8: return kNcclInt8;
    case Dtype::kI32: return kNcclInt32;
    case Dtype::kU32: return kNcclUint32;
    case Dtype::kI64: return kNcclInt64;
    case Dtype::kU64: return kNcclUint64;
    case Dtype::kF16: return kNcclFloat16;
    case Dtype::kF32: return kNcclFloat32;
    case Dtype::kF64: return kNcclFloat64;
    case Dtype::kBf16: return kNcclBfloat16;
    case Dtype::kF8E4m3: return kNcclFloat8e4m3;
    case Dtype::kF8E5m2: return kNcclFloat8e5m2;
    case Dtype::kBool:
    case Dtype::kI16:
    case Dtype::kU8: break;
  }
  return kNcclUint8;
}

NcclReduction ReductionOf(Reduction reduction) {
  switch (reduction) {
    case Reduction::kProduct: return kNcclProd;
    case Reduction::kMin: return kNcclMin;
    case Reduction::kMax: return kNcclMax;
    case Reduction::kAverage: return kNcclAvg;
    default: return kNcclSum;
  }
}

/// To nearest even; of a finite value.
uint16_t ToBf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

uint16_t ToF16(double value) {
  const auto sign = static_cast<uint16_t>(std::signbit(value) ? 0x8000 : 0);
  const double size = std::abs(value);
  if (std::isnan(value)) return 0x7e00;
  if (size == 0) return sign;
  if (size >= 65520) return static_cast<uint16_t>(sign | 0x7c00);  // rounds to infinity
  int exponent = 0;
  std::frexp(size, &exponent);  // size = m * 2^exponent, m in [0.5, 1)
  const int unit = std::max(exponent - 11, -24);
  // Beside 2^52 a double has no fraction, so that the sum rounds; nearbyint is an indirect function
  // of glibc, which no shared object can have out of libm.a.
  constexpr double kNoFraction = 0x1p52;
  const auto units = static_cast<uint16_t>(std::ldexp(size, -unit) + kNoFraction - kNoFraction);
  // Of a normal number units has its leading one, which the sum carries into the exponent.
  return static_cast<uint16_t>(sign + ((unit + 24) << 10) + units);
}

/// Beyond T's range its end, which a plain cast would leave undefined.
template <class T>
T Whole(double value) {
  if (!(value > static_cast<double>(std::numeric_limits<T>::min())))
    return value == value ? std::numeric_limits<T>::min() : T{0};
  // The greatest of 64 bits is rounded up to a power of two, which is beyond them.
  if (value >= static_cast<double>(std::numeric_limits<T>::max()))
    return std::numeric_limits<T>::max();
  return static_cast<T>(value);
}

/// The scale of a premultiplied sum as an element, for NCCL.
void StoreScalar(Dtype dtype, double value, std::byte* cell) {
  const auto put = [cell](auto typed) { std::memcpy(cell, &typed, sizeof typed); };
  switch (dtype) {
    case Dtype::kI8: return put(Whole<int8_t>(value));
    case Dtype::kI32: return put(Whole<int32_t>(value));
    case Dtype::kU32: return put(Whole<uint32_t>(value));
    case Dtype::kI64: return put(Whole<int64_t>(value));
    case Dtype::kU64: return put(Whole<uint64_t>(value));
    case Dtype::kF16: return put(ToF16(value));
    case Dtype::kBf16: return put(ToBf16(static_cast<float>(value)));
    case Dtype::kF32: return put(static_cast<float>(value));
    case Dtype::kF64: return put(value);
    default: return put(Whole<uint8_t>(value));
  }
}

/// Calls between ncclGroupStart and ncclGroupEnd; remembers the first that failed.
class Grouped {
 public:
  explicit Grouped(const NcclFunctions& nccl) : nccl_(nccl), first_(nccl.group_start()) {}
  void Add(NcclResult result) {
    if (first_ == kNcclSuccess && result != kNcclInProgress) first_ = result;
  }
  NcclResult End() {
    const NcclResult end = nccl_.group_end();
    return first_ == kNcclSuccess ? end : first_;
  }

 private:
  const NcclFunctions& nccl_;
  NcclResult first_;
};

/// One op on its way into NCCL.
class Enqueuing {
 public:
  Enqueuing(const NcclEnd& end, const Op& op)
      : end_(end),
        nccl_(end.libraries.nccl()),
        op_(op),
        parts_(op, end.size),
        width_(DtypeBytes(op.dtype)) {}

  NcclResult Run(NcclLeftover& leftover) {
    NcclReduction reduction = ReductionOf(op_.reduction);
    if (op_.reduction == Reduction::kPremultipliedSum) {
      const NcclResult created = CreateReduction(leftover);
      if (created != kNcclSuccess) return created;
      reduction = leftover.reduction;
    }
    switch (op_.kind) {
      case OpKind::kAllReduce:
        return nccl_.all_reduce(op_.in, op_.out, op_.count, DtypeOf(op_.dtype), reduction,
                                end_.comm, end_.stream);
      case OpKind::kReduce:
        return nccl_.reduce(op_.in, op_.out, op_.count, DtypeOf(op_.dtype), reduction, op_.peer,
                            end_.comm, end_.stream);
      case OpKind::kReduceScatter:
        return nccl_.reduce_scatter(op_.in, op_.out, op_.count, DtypeOf(op_.dtype), reduction,
                                    end_.comm, end_.stream);
      case OpKind::kReduceScatterV: return ReduceParts(reduction);
      case OpKind::kBarrier:
        return nccl_.all_reduce(end_.scratch, end_.scratch, 1, kNcclUint8, kNcclMax, end_.comm,
                                end_.stream);
      case OpKind::kBroadcast:
        return nccl_.broadcast(op_.in, op_.out, op_.bytes(), kNcclUint8, op_.peer, end_.comm,
                               end_.stream);
      case OpKind::kAllGather:
        return nccl_.all_gather(op_.in, op_.out, op_.bytes(), kNcclUint8, end_.comm, end_.stream);
      case OpKind::kAllGatherV: return BroadcastParts();
      case OpKind::kAllToAll:
        if (nccl_.all_to_all != nullptr)
          return nccl_.all_to_all(op_.in, op_.out, op_.bytes(), kNcclUint8, end_.comm, end_.stream);
        return ExchangeParts();
      case OpKind::kAllToAllV: return ExchangeParts();
      case OpKind::kGather:
        if (nccl_.gather != nullptr)
          return nccl_.gather(op_.in, op_.out, op_.bytes(), kNcclUint8, op_.peer, end_.comm,
                              end_.stream);
        return GatherParts();
      case OpKind::kScatter:
        if (nccl_.scatter != nullptr)
          return nccl_.scatter(op_.in, op_.out, op_.bytes(), kNcclUint8, op_.peer, end_.comm,
                               end_.stream);
        return ScatterParts();
      case OpKind::kSend:
        if (end_.size == 1)
          return nccl_.all_gather(op_.in, op_.out, op_.bytes(), kNcclUint8, end_.comm, end_.stream);
        return Send(op_.in, op_.count, 1 - end_.rank);
      case OpKind::kRecv: return Receive(op_.out, op_.count, 1 - end_.rank);
      default: return kNcclInvalidUsage;
    }
  }

 private:
  const std::byte* in(size_t elements) const { return op_.in + elements * width_; }
  std::byte* out(size_t elements) const { return op_.out + elements * width_; }
  size_t members() const { return static_cast<size_t>(end_.size); }

  NcclResult CreateReduction(NcclLeftover& leftover) {
    std::byte cell[8];
    StoreScalar(op_.dtype, op_.scale, cell);
    const NcclResult result = nccl_.red_op_create_pre_mul_sum(
        &leftover.reduction, cell, DtypeOf(op_.dtype), kNcclScalarHostImmediate, end_.comm);
    leftover.has_reduction = result == kNcclSuccess;
    return result;
  }

  NcclResult Send(const std::byte* from, size_t count, int peer) {
    return nccl_.send(from, count * width_, kNcclUint8, peer, end_.comm, end_.stream);
  }
  NcclResult Receive(std::byte* to, size_t count, int peer) {
    return nccl_.recv(to, count * width_, kNcclUint8, peer, end_.comm, end_.stream);
  }

  /// Each part is reduced to its owner.
  NcclResult ReduceParts(NcclReduction reduction) {
    Grouped group(nccl_);
    for (size_t r = 0; r < members(); ++r) {
      group.Add(nccl_.reduce(in(parts_.offset(r)), op_.out, parts_.count(r), DtypeOf(op_.dtype),
                             reduction, static_cast<int>(r), end_.comm, end_.stream));
    }
    return group.End();
  }
  NcclResult BroadcastParts() {
    Grouped group(nccl_);
    for (size_t r = 0; r < members(); ++r) {
      group.Add(nccl_.broadcast(op_.in, out(parts_.offset(r)), parts_.count(r) * width_, kNcclUint8,
                                static_cast<int>(r), end_.comm, end_.stream));
    }
    return group.End();
  }
  NcclResult ExchangeParts() {
    Grouped group(nccl_);
    for (int r = 0; r < end_.size; ++r) {
      const auto index = static_cast<size_t>(r);
      group.Add(Send(in(parts_.offset(index)), parts_.count(index), r));
      group.Add(Receive(out(parts_.out_offset(r)), parts_.out_count(r), r));
    }
    return group.End();
  }
  NcclResult GatherParts() {
    Grouped group(nccl_);
    group.Add(Send(op_.in, op_.count, op_.peer));
    for (int r = 0; r < end_.size && end_.rank == op_.peer; ++r)
      group.Add(Receive(out(parts_.offset(static_cast<size_t>(r))), op_.count, r));
    return group.End();
  }
  NcclResult ScatterParts() {
    Grouped group(nccl_);
    for (int r = 0; r < end_.size && end_.rank == op_.peer; ++r)
      group.Add(Send(in(parts_.offset(static_cast<size_t>(r))), op_.count, r));
    group.Add(Receive(op_.out, op_.count, op_.peer));
    return group.End();
  }

  const NcclEnd& end_;
  const NcclFunctions& nccl_;
  const Op& op_;
  const Parts parts_;
  const size_t width_;
};

}  // namespace

NcclResult EnqueueOp(const NcclEnd& end, const Op& op, NcclLeftover& leftover) {
  return Enqueuing(end, op).Run(leftover);
}

}  // namespace lockstep::collectives
