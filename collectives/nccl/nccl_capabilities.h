// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_NCCL_NCCL_CAPABILITIES_H_
#define LOCKSTEP_COLLECTIVES_NCCL_NCCL_CAPABILITIES_H_

#include "collectives/capabilities.h"

namespace lockstep::collectives {

/// Of groups over NCCL of `version` (NcclVersion).
Capabilities NcclCapabilities(int version);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_NCCL_NCCL_CAPABILITIES_H_
