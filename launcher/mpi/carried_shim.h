// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_MPI_CARRIED_SHIM_H_
#define LOCKSTEP_LAUNCHER_MPI_CARRIED_SHIM_H_

#include <string>

#include "runtime/base/status.h"

/// NCCL's shim (collectives/nccl/shim), a copy of which is part of this program: an agent that ssh
/// has brought to another machine has nothing beside it. Functions without state, for any thread.
namespace lockstep::launcher {

/// False in a sanitizer's build, whose runtime must be a program's first library.
bool CarriesNcclShim();

/// Makes that file, or puts another one in its place: by a rename, so that ranks of several nodes
/// that share the folder may load it meanwhile. Blocks: for 70 kB.
/// Errors: NotFound - this program carries none; FailedPrecondition - its file system is mounted
/// noexec, from which nothing can be loaded; else errno's code. Nothing is left then.
base::Status WriteNcclShim(const std::string& path);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_MPI_CARRIED_SHIM_H_
