// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_MPI_MPI_LIBRARY_H_
#define LOCKSTEP_COLLECTIVES_MPI_MPI_LIBRARY_H_

#include <string>
#include <utility>

#include "collectives/mpi/lockstep_mpi.h"
#include "runtime/base/result.h"
#include "runtime/base/status.h"

namespace lockstep::collectives {

/// An MPI that was loaded at run time: the shared object of ours that was compiled against it, and
/// the libmpi which that one needs. A value; what it names stays loaded until the process ends,
/// since no MPI can be unloaded. Threads: any may load; `api()` is for one thread (lockstep_mpi.h).
class MpiLibrary {
 public:
  /// `path` of liblockstep_mpi_openmpi.so or liblockstep_mpi_mpich.so. Errors: NotFound - there is
  /// no such file; FailedPrecondition - its MPI is not installed, is of another ABI than it was
  /// compiled against, or the process has another MPI already; the object is of another release.
  static base::Result<MpiLibrary> Load(const std::string& path);

  const lockstep_mpi_api& api() const { return *api_; }
  const std::string& path() const { return path_; }
  /// "Open MPI v4.1.4"
  const std::string& version() const { return version_; }
  /// What `api()` returned last was `result`: as a Status, OK when that was. `what` was attempted.
  base::Status StatusOf(lockstep_mpi_result result, const std::string& what) const;

 private:
  MpiLibrary(const lockstep_mpi_api& api, std::string path, std::string version)
      : api_(&api), path_(std::move(path)), version_(std::move(version)) {}

  const lockstep_mpi_api* api_;
  std::string path_;
  std::string version_;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_MPI_MPI_LIBRARY_H_
