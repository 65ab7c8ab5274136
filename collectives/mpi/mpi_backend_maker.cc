// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/mpi/mpi_backend_maker.h"

#include <algorithm>
#include <string>

namespace lockstep::collectives {

base::Result<std::unique_ptr<Backend>> MpiBackendMaker::Make(const GroupSpec& spec,
                                                             const OpDeadline& deadline) {
  const base::Rank self = spec.world_ranks[static_cast<size_t>(spec.rank.value())];
  const base::Rank last = *std::max_element(spec.world_ranks.begin(), spec.world_ranks.end());
  if (self.value() != engine_->world_rank() || last.value() >= engine_->world_size()) {
    return base::FailedPreconditionError(
        "making group " + spec.name + " over MPI: " + engine_->Describe() +
        " calls this process rank " + std::to_string(engine_->world_rank()) + " of " +
        std::to_string(engine_->world_size()) + ", and the job calls it rank " + self.ToString() +
        " of a group that reaches to rank " + last.ToString() +
        "; start the ranks with the mpirun of this MPI (mpirun.openmpi, mpirun.mpich), or load the "
        "liblockstep_mpi_*.so of the MPI whose mpirun did");
  }
  ASSIGN_OR_RETURN(auto backend, MpiBackend::Join(config_, engine_, spec, deadline));
  return std::unique_ptr<Backend>(std::move(backend));
}

}  // namespace lockstep::collectives
