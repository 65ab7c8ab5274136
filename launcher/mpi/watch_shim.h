// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_MPI_WATCH_SHIM_H_
#define LOCKSTEP_LAUNCHER_MPI_WATCH_SHIM_H_

#include <string>

#include "launcher/mpi/program_image.h"
#include "runtime/base/status.h"
#include "runtime/proto/job.pb.h"
#include "runtime/topology/environment.h"

namespace lockstep::launcher {

/// The folder in which this program lies, and what it needs beside it.
std::string OwnFolder();

/// How the functions below are told it: "off", "mpi" or "auto".
std::string WatchWord(proto::Watch watch);

/// Adds to LD_PRELOAD what records the program's MPI calls (collectives/mpi/shim), after what is
/// there already: a sanitizer's runtime must be the first. `watch` is "off", "mpi", "auto" or "" =
/// off; of auto a shim that cannot be had is no error. `folder` is that of the lockstep program,
/// beside which the shim lies. Any thread.
/// Errors: NotFound - it does not lie there; InvalidArgument - LD_PRELOAD cannot name that folder.
base::Status PreloadShim(const std::string& watch, const std::string& folder,
                         topology::Environment& environment);

/// What PreloadShim() would say, and InvalidArgument of "mpi" or "nccl" for a program (called
/// `name`) into which nothing can be preloaded: a static one, or one that is setuid.
base::Status CheckWatch(const std::string& watch, const ProgramImage& program,
                        const std::string& name, const std::string& folder);

/// Where "auto" would watch a program and cannot, which is no error: a line for people; "" else.
std::string WhyNotWatched(const std::string& watch, const ProgramImage& program,
                          const std::string& name);

/// Of a job with ranks on other machines, whose MPI calls are not watched.
/// Errors: InvalidArgument - "mpi" was asked for.
base::Status CheckFarWatch(const std::string& watch);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_MPI_WATCH_SHIM_H_
