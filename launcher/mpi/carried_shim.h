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

inline constexpr const char* kNcclShimFile = "liblockstep_nccl.so";

/// Where below `folder` it is put: a folder whose name says what is in it, so that another release
/// of lockstep has one of its own.
std::string NcclShimFolder(const std::string& folder);

/// Makes NcclShimFolder(folder)/kNcclShimFile, unless it is there. It is complete as soon as it is
/// there, and is never replaced nor removed but with `folder`: ranks of other nodes that share that
/// folder may have it mapped, and would die of SIGBUS where NFS has no more the file that they
/// mapped. Blocks: for 70 kB. Errors: NotFound - this program carries none; FailedPrecondition -
/// its file system is mounted noexec, from which nothing can be loaded, or something else is in its
/// place; else errno's code. Nothing is left then.
base::Status WriteNcclShim(const std::string& folder);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_MPI_CARRIED_SHIM_H_
