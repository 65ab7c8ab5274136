// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_MPI_WATCH_SHIM_H_
#define LOCKSTEP_LAUNCHER_MPI_WATCH_SHIM_H_

#include <string>

#include "launcher/mpi/carried_shim.h"
#include "launcher/mpi/program_image.h"
#include "runtime/base/result.h"
#include "runtime/base/status.h"
#include "runtime/proto/job.pb.h"
#include "runtime/topology/environment.h"

namespace lockstep::launcher {

/// The folder in which this program lies, and what it needs beside it.
std::string OwnFolder();

/// How the functions below are told it: "off", "mpi", "nccl" or "auto".
std::string WatchWord(proto::Watch watch);

/// Adds to LD_PRELOAD what records the program's MPI and NCCL calls (collectives/mpi/shim,
/// collectives/nccl/shim), after what is there already: a sanitizer's runtime must be the first.
/// `watch` is "off", "mpi", "nccl", "auto" or "" = off; of auto a shim that cannot be had is no
/// error. `folder` is that of the lockstep program, beside which the shims lie. Any thread.
/// Errors: NotFound - it does not lie there; InvalidArgument - LD_PRELOAD cannot name that folder.
base::Status PreloadShim(const std::string& watch, const std::string& folder,
                         topology::Environment& environment);

/// What PreloadShim() would say, and InvalidArgument of "mpi" or "nccl" for a program (called
/// `name`) into which nothing can be preloaded: a static one, or one that is setuid.
base::Status CheckWatch(const std::string& watch, const ProgramImage& program,
                        const std::string& name, const std::string& folder);

/// `watch`, but "off" for "auto" where a program would not start with a shim before its own
/// libraries: GCC's AddressSanitizer must be the first one, which it is where LD_PRELOAD names it.
/// `environment` is what the program will have.
std::string WatchFor(const std::string& watch, const ProgramImage& program,
                     const topology::Environment& environment);

/// Where "auto" would watch a program and cannot, which is no error: a line for people; "" else.
/// Unless `all_ranks_here` the job has ranks on other machines.
std::string WhyNotWatched(const std::string& watch, const ProgramImage& program,
                          const std::string& name, const topology::Environment& environment,
                          bool all_ranks_here);

/// What is recorded on a machine of a job with several: no calls of MPI, whose programs start
/// there by other means than ours, and those of NCCL with the shim that lies beside lockstep or,
/// without one, with the one that lockstep carries (carried_shim.h).
struct FarWatch {
  std::string watch = "off";  // as PreloadShim() is to be told
  std::string folder;         // likewise
  /// Why "auto" records nothing here, though it may on the job's other machines. "" = it does, or
  /// it does nowhere.
  std::string trouble;
};

/// `watch` is what the job says, `folder` that of the lockstep program; what it carries is put into
/// `spare_folder` if need be, which then has to be there for as long as ranks run. Blocks, then.
/// Where it carries none that is trouble if the program may call NCCL, as far as is known.
/// Errors: InvalidArgument - "mpi" was asked for; of "nccl" CheckWatch()'s and WriteNcclShim()'s.
base::Result<FarWatch> ChooseFarWatch(const std::string& watch, const ProgramImage& program,
                                      const std::string& name, const std::string& folder,
                                      const std::string& spare_folder,
                                      bool carries_shim = CarriesNcclShim());

/// For who only tells of such a job's ranks: their environment where ChooseFarWatch() has no
/// trouble.
void ShowFarShim(const std::string& watch, const std::string& folder,
                 const std::string& spare_folder, topology::Environment& environment);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_MPI_WATCH_SHIM_H_
