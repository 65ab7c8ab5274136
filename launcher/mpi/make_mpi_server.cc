// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/make_mpi_server.h"

#include <utility>

#include "launcher/mpi/pmi_server.h"
#include "launcher/mpi/pmix_server.h"

namespace lockstep::launcher {
namespace {

base::Status CheckJob(const MpiServerOptions& options) {
  if (!options.all_ranks_here) {
    return base::InvalidArgumentError(
        "serve MPI to the ranks (--mpi): that is for jobs whose ranks are all on the machine of "
        "`lockstep run`; start this one by `mpirun ... lockstep exec -- PROGRAM`, or give "
        "--mpi=none if PROGRAM calls no MPI");
  }
  if (options.keeps_survivors) {
    return base::InvalidArgumentError(
        "serve MPI to the ranks (--mpi): their MPI cannot go on without one that failed, as "
        "--on-rank-failure=keep wants it; give teardown, or --mpi=none if the program calls no "
        "MPI");
  }
  return base::OkStatus();
}

}  // namespace

proto::MpiServer ChooseMpiServer(proto::MpiServer wanted, const ProgramImage& program) {
  if (wanted != proto::MPI_SERVER_AUTO) return wanted;
  switch (MpiOf(program)) {
    case MpiLibrary::kNone: return proto::MPI_SERVER_NONE;
    case MpiLibrary::kOpenMpi: return proto::MPI_SERVER_PMIX;
    case MpiLibrary::kMpich: return proto::MPI_SERVER_PMI1;
  }
  return proto::MPI_SERVER_NONE;
}

base::Result<std::unique_ptr<MpiServer>> MakeMpiServer(proto::MpiServer chosen,
                                                       MpiServerOptions options,
                                                       MpiServerDeps deps) {
  std::unique_ptr<MpiServer> server;
  if (chosen != proto::MPI_SERVER_PMIX && chosen != proto::MPI_SERVER_PMI1) return server;
  RETURN_IF_ERROR(CheckJob(options));
  if (chosen == proto::MPI_SERVER_PMI1) {
    server = std::make_unique<PmiServer>(
        PmiServer::Config{std::move(options.job_id), std::move(options.on_abort)}, deps.loop);
    return server;
  }
  ASSIGN_OR_RETURN(server,
                   PmixServer::Create({.job_id = std::move(options.job_id),
                                       .host = std::move(options.host),
                                       .program = options.lockstep_folder + "/lockstep-pmix",
                                       .folder = std::move(options.folder),
                                       .log_path = std::move(options.log_path),
                                       .environment = std::move(options.environment),
                                       .on_abort = std::move(options.on_abort),
                                       .on_ended = std::move(options.on_ended)},
                                      {deps.loop, deps.processes}));
  return server;
}

}  // namespace lockstep::launcher
