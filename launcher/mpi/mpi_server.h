// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_MPI_MPI_SERVER_H_
#define LOCKSTEP_LAUNCHER_MPI_MPI_SERVER_H_

#include <functional>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "runtime/topology/environment.h"

namespace lockstep::launcher {

/// What one rank starts with, beside what every rank does.
struct MpiSeat {
  topology::Environment variables;
  base::UniqueFd fd;  // invalid: none
  int rank_fd = -1;   // the number that the rank gets it under
};

/// That a rank has called MPI_Abort with this code: it is to be ended, and all others with it.
using OnMpiAbort = std::function<void(base::Rank rank, int code)>;

/// What the ranks of an MPI program on this machine find each other by in MPI_Init, where mpirun's
/// daemon would serve them: who they are, and what each tells the others. One per job whose program
/// needs it, owned by its NodeRuntime, for all rounds. Confined to the loop's thread.
///
///   BeginRound, SeatOf (of each rank, once), EndRound, BeginRound ...
class MpiServer {
 public:
  virtual ~MpiServer() = default;

  /// Errors: as the server has them; the round cannot start.
  virtual base::Status BeginRound(base::Round round, int rank_count) = 0;
  /// Errors: ResourceExhausted - no descriptor is left; else errno's code.
  virtual base::Result<MpiSeat> SeatOf(base::Rank rank) = 0;
  /// All ranks have ended.
  virtual void EndRound() = 0;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_MPI_MPI_SERVER_H_
