// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/types.h"

namespace lockstep::collectives {

bool Reduces(OpKind kind) {
  return kind == OpKind::kAllReduce || kind == OpKind::kReduce || kind == OpKind::kReduceScatter ||
         kind == OpKind::kReduceScatterV;
}

size_t DtypeBytes(Dtype dtype) {
  switch (dtype) {
    case Dtype::kBool:
    case Dtype::kU8:
    case Dtype::kI8:
    case Dtype::kF8E4m3:
    case Dtype::kF8E5m2: return 1;
    case Dtype::kI16:
    case Dtype::kF16:
    case Dtype::kBf16: return 2;
    case Dtype::kI32:
    case Dtype::kU32:
    case Dtype::kF32: return 4;
    case Dtype::kI64:
    case Dtype::kU64:
    case Dtype::kF64: return 8;
  }
  return 0;  // a value from a foreign record or frame
}

std::string_view DtypeName(Dtype dtype) {
  switch (dtype) {
    case Dtype::kBool: return "bool";
    case Dtype::kU8: return "u8";
    case Dtype::kI8: return "i8";
    case Dtype::kI16: return "i16";
    case Dtype::kI32: return "i32";
    case Dtype::kI64: return "i64";
    case Dtype::kU32: return "u32";
    case Dtype::kU64: return "u64";
    case Dtype::kF16: return "f16";
    case Dtype::kBf16: return "bf16";
    case Dtype::kF32: return "f32";
    case Dtype::kF64: return "f64";
    case Dtype::kF8E4m3: return "f8e4m3";
    case Dtype::kF8E5m2: return "f8e5m2";
  }
  return "unknown";
}

std::string_view ReductionName(Reduction reduction) {
  switch (reduction) {
    case Reduction::kNone: return "none";
    case Reduction::kSum: return "sum";
    case Reduction::kProduct: return "prod";
    case Reduction::kMin: return "min";
    case Reduction::kMax: return "max";
    case Reduction::kAverage: return "avg";
    case Reduction::kPremultipliedSum: return "premul_sum";
    case Reduction::kBitAnd: return "band";
    case Reduction::kBitOr: return "bor";
    case Reduction::kBitXor: return "bxor";
  }
  return "unknown";
}

std::string_view OpKindName(OpKind kind) {
  switch (kind) {
    case OpKind::kNone: return "none";
    case OpKind::kAllReduce: return "all_reduce";
    case OpKind::kReduce: return "reduce";
    case OpKind::kBroadcast: return "broadcast";
    case OpKind::kAllGather: return "all_gather";
    case OpKind::kAllGatherV: return "all_gather_v";
    case OpKind::kReduceScatter: return "reduce_scatter";
    case OpKind::kReduceScatterV: return "reduce_scatter_v";
    case OpKind::kAllToAll: return "all_to_all";
    case OpKind::kAllToAllV: return "all_to_all_v";
    case OpKind::kGather: return "gather";
    case OpKind::kScatter: return "scatter";
    case OpKind::kBarrier: return "barrier";
    case OpKind::kSend: return "send";
    case OpKind::kRecv: return "recv";
    case OpKind::kBatch: return "batch";
    case OpKind::kInit: return "init";
    case OpKind::kSplit: return "split";
    case OpKind::kShrink: return "shrink";
    case OpKind::kGrow: return "grow";
    case OpKind::kAllocate: return "allocate";
  }
  return "unknown";
}

}  // namespace lockstep::collectives
