// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_CAPABILITIES_H_
#define LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_CAPABILITIES_H_

#include "collectives/capabilities.h"

namespace lockstep::collectives {

/// Of groups over TCP.
Capabilities TcpCapabilities();

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_CAPABILITIES_H_
