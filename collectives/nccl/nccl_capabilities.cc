// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/nccl/nccl_capabilities.h"

#include "collectives/nccl/nccl_abi.h"
#include "collectives/types.h"

namespace lockstep::collectives {

Capabilities NcclCapabilities(int version) {
  Capabilities capabilities;
  capabilities.backend = "nccl";
  capabilities.host_memory = false;
  capabilities.cuda_memory = true;
  capabilities.unaligned_reductions = false;
  for (uint8_t kind = 1; kind < kOpKindLimit; ++kind) {
    if (static_cast<OpKind>(kind) != OpKind::kAllocate)
      capabilities.Allow(static_cast<OpKind>(kind));
  }
  // What only moves goes as bytes.
  for (uint8_t dtype = 1; dtype < kDtypeLimit; ++dtype) {
    const auto type = static_cast<Dtype>(dtype);
    capabilities.Allow(type);
    if (type == Dtype::kBool || type == Dtype::kI16) continue;
    const bool is_f8 = type == Dtype::kF8E4m3 || type == Dtype::kF8E5m2;
    if (is_f8 && version < kNcclFloat8Since) continue;
    for (const Reduction reduction : {Reduction::kSum, Reduction::kProduct, Reduction::kMin,
                                      Reduction::kMax, Reduction::kAverage}) {
      capabilities.Allow(type, reduction);
    }
    // Of f8 the scale would be rounded to three or two bits.
    if (!is_f8) capabilities.Allow(type, Reduction::kPremultipliedSum);
  }
  return capabilities;
}

}  // namespace lockstep::collectives
