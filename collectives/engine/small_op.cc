// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/engine/small_op.h"

#include <cstring>
#include <vector>

#include "collectives/engine/parts.h"
#include "collectives/engine/reduce_kernels.h"
#include "runtime/base/check.h"

namespace lockstep::collectives {
namespace {

void Copy(std::byte* to, const std::byte* from, size_t bytes) {
  if (bytes > 0 && to != from) std::memcpy(to, from, bytes);
}

void Reduce(const Op& op, int self, int size, const std::byte* const* inputs,
            const double* scales) {
  const size_t count = OutCount(op, self, size);
  if (count == 0) return;
  const ReduceKernel kernel = FindReduceKernel(op.dtype, op.reduction);
  if (op.kind == OpKind::kAllReduce || op.kind == OpKind::kReduce)
    return kernel(op.out, inputs, scales, size, count);
  const size_t offset = Parts(op, size).offset(static_cast<size_t>(self)) * DtypeBytes(op.dtype);
  std::vector<const std::byte*> parts(inputs, inputs + size);
  for (const std::byte*& part : parts) part += offset;
  kernel(op.out, parts.data(), scales, size, count);
}

}  // namespace

void FinishSmallOp(const Op& op, int self, int size, const std::byte* const* inputs,
                   const double* scales) {
  switch (op.kind) {
    case OpKind::kAllReduce:
    case OpKind::kReduce:
    case OpKind::kReduceScatter:
    case OpKind::kReduceScatterV: return Reduce(op, self, size, inputs, scales);
    case OpKind::kBroadcast:
      if (op.peer != self) Copy(op.out, inputs[op.peer], op.bytes());
      return;
    case OpKind::kScatter: {
      const size_t offset = static_cast<size_t>(self) * op.bytes();
      if (op.bytes() > 0) Copy(op.out, inputs[op.peer] + offset, op.bytes());
      return;
    }
    case OpKind::kGather:
      if (op.peer != self) return;
      [[fallthrough]];
    case OpKind::kAllGather:
    case OpKind::kAllGatherV: {
      const Parts parts(op, size);
      const size_t unit = DtypeBytes(op.dtype);
      for (int member = 0; member < size; ++member)
        Copy(op.out + parts.out_offset(member) * unit, inputs[member],
             parts.count(static_cast<size_t>(member)) * unit);
      return;
    }
    case OpKind::kAllToAll: {
      const size_t offset = static_cast<size_t>(self) * op.bytes();
      if (op.bytes() == 0) return;
      for (int member = 0; member < size; ++member)
        Copy(op.out + static_cast<size_t>(member) * op.bytes(), inputs[member] + offset,
             op.bytes());
      return;
    }
    default: LOCKSTEP_CHECK(false, "Group makes no other op with data");
  }
}

}  // namespace lockstep::collectives
