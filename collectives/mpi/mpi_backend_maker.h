// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_MPI_MPI_BACKEND_MAKER_H_
#define LOCKSTEP_COLLECTIVES_MPI_MPI_BACKEND_MAKER_H_

#include <memory>
#include <utility>

#include "collectives/engine/backend.h"
#include "collectives/mpi/mpi_backend.h"
#include "collectives/mpi/mpi_engine.h"

namespace lockstep::collectives {

/// Makes MpiBackends over one engine, whose ranks of the world they are by MPI's own numbers.
/// Thread-safe.
///
///   ASSIGN_OR_RETURN(auto engine, MpiEngine::Start({.plugin = ".../liblockstep_mpi_mpich.so"}));
///   auto maker = std::make_shared<MpiBackendMaker>(engine, MpiBackend::Config{});
class MpiBackendMaker final : public BackendMaker {
 public:
  MpiBackendMaker(std::shared_ptr<MpiEngine> engine, const MpiBackend::Config& config)
      : engine_(std::move(engine)), config_(config) {}

  /// Errors beside BackendMaker's: FailedPrecondition - MPI numbers this process otherwise than the
  /// job does, as when another MPI's mpirun has started it.
  base::Result<std::unique_ptr<Backend>> Make(const GroupSpec& spec,
                                              const OpDeadline& deadline) override;

 private:
  const std::shared_ptr<MpiEngine> engine_;
  const MpiBackend::Config config_;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_MPI_MPI_BACKEND_MAKER_H_
