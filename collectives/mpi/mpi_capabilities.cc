// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/mpi/mpi_capabilities.h"

#include "collectives/engine/host_capabilities.h"
#include "collectives/types.h"

namespace lockstep::collectives {

Capabilities MpiCapabilities(bool compares_calls) {
  Capabilities capabilities = HostCapabilities("mpi");  // the arithmetic is the host's
  capabilities.compares_calls = compares_calls;
  capabilities.bitwise_reproducible = false;  // the order of a reduction is the library's choice
  capabilities.ops &= ~(1u << static_cast<unsigned>(OpKind::kAllocate));  // members share no memory
  return capabilities;
}

}  // namespace lockstep::collectives
