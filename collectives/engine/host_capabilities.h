// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_ENGINE_HOST_CAPABILITIES_H_
#define LOCKSTEP_COLLECTIVES_ENGINE_HOST_CAPABILITIES_H_

#include <string>

#include "collectives/capabilities.h"

namespace lockstep::collectives {

/// Of the backends that reduce with FindReduceKernel, in rank order, and compare calls first.
Capabilities HostCapabilities(std::string backend);

/// Of those that reduce in another order, which depends on where members live and on algorithms.
Capabilities MessageCapabilities(std::string backend);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_ENGINE_HOST_CAPABILITIES_H_
