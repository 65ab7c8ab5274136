// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/tcp_capabilities.h"

#include "collectives/engine/host_capabilities.h"

namespace lockstep::collectives {

Capabilities TcpCapabilities() {
  Capabilities capabilities = HostCapabilities("tcp");
  capabilities.bitwise_reproducible = false;
  return capabilities;
}

}  // namespace lockstep::collectives
