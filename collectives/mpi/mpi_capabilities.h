// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_MPI_MPI_CAPABILITIES_H_
#define LOCKSTEP_COLLECTIVES_MPI_MPI_CAPABILITIES_H_

#include "collectives/capabilities.h"

namespace lockstep::collectives {

/// Of groups over any MPI, with or without MpiBackend::Config::check_calls.
Capabilities MpiCapabilities(bool compares_calls);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_MPI_MPI_CAPABILITIES_H_
