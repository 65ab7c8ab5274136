// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_MPI_MPI_ENDING_H_
#define LOCKSTEP_COLLECTIVES_MPI_MPI_ENDING_H_

#include <atomic>
#include <memory>

namespace lockstep::collectives {

/// What the exit status of a process becomes that would have ended with 0 but could not end its
/// MPI: a call was still in flight, so that MPI_Finalize would have hung. Its mpirun then ends the
/// others.
inline constexpr int kMpiLeftOpenExitCode = 74;

/// How a process that has begun MPI may end: the MpiEngine says it, the process's exit handler
/// asks. One per process. Thread-safe.
struct MpiEnding {
  std::atomic<bool> left_open{true};  // MPI_Finalize has not returned
  std::atomic<bool> outlived{false};  // a rank has died and MPI has gone on: 0 may stay 0
};

/// From now on the process ends by _exit() where `ending` says that its MPI is left open: MPI's own
/// handlers do not run, what was printed is flushed, and the status is its own, or
/// kMpiLeftOpenExitCode in place of 0.
void EndProcessBy(std::shared_ptr<const MpiEnding> ending);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_MPI_MPI_ENDING_H_
