// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/engine/host_capabilities.h"

#include <utility>

#include "collectives/engine/reduce_kernels.h"

namespace lockstep::collectives {

Capabilities HostCapabilities(std::string backend) {
  Capabilities capabilities;
  capabilities.backend = std::move(backend);
  capabilities.compares_calls = true;
  capabilities.bitwise_reproducible = true;
  for (uint8_t kind = 1; kind < kOpKindLimit; ++kind) capabilities.Allow(static_cast<OpKind>(kind));
  for (uint8_t dtype = 1; dtype < kDtypeLimit; ++dtype) {
    capabilities.Allow(static_cast<Dtype>(dtype));
    for (uint8_t reduction = 1; reduction < kReductionLimit; ++reduction) {
      if (FindReduceKernel(static_cast<Dtype>(dtype), static_cast<Reduction>(reduction)) != nullptr)
        capabilities.Allow(static_cast<Dtype>(dtype), static_cast<Reduction>(reduction));
    }
  }
  return capabilities;
}

Capabilities MessageCapabilities(std::string backend) {
  Capabilities capabilities = HostCapabilities(std::move(backend));
  capabilities.bitwise_reproducible = false;
  return capabilities;
}

}  // namespace lockstep::collectives
