// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_TOPOLOGY_MPI_ENVIRONMENT_H_
#define LOCKSTEP_RUNTIME_TOPOLOGY_MPI_ENVIRONMENT_H_

#include <string_view>

#include "runtime/topology/environment.h"

/// What the environment of a rank says to its MPI, where no mpirun does. Pure functions, for any
/// thread.
namespace lockstep::topology {

/// True for the variables by which launchers tell an MPI who it is and who serves it; false for
/// those that tune it (OMPI_MCA_btl, MPIR_CVAR_*).
bool IsMpiWorldVariable(std::string_view name);

/// Takes another launcher's world out of a rank's complete environment, and puts `world` in its
/// place. What tunes the MPI stays as the user has it, and wins.
void SetMpiWorld(const Environment& world, Environment& environment);

}  // namespace lockstep::topology

#endif  // LOCKSTEP_RUNTIME_TOPOLOGY_MPI_ENVIRONMENT_H_
