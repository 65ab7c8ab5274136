// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_MPI_MAKE_MPI_SERVER_H_
#define LOCKSTEP_LAUNCHER_MPI_MAKE_MPI_SERVER_H_

#include <functional>
#include <memory>
#include <string>

#include "launcher/mpi/mpi_server.h"
#include "launcher/mpi/program_image.h"
#include "runtime/base/result.h"
#include "runtime/event/loop.h"
#include "runtime/process/processes.h"
#include "runtime/proto/job.pb.h"
#include "runtime/topology/environment.h"

namespace lockstep::launcher {

struct MpiServerOptions {
  std::string job_id;
  std::string host;
  bool all_ranks_here = true;
  bool keeps_survivors = false;       // the job goes on without a rank that failed
  std::string lockstep_folder;        // in which lockstep lies, and lockstep-pmix
  std::string folder;                 // for what Open MPI's ranks share
  std::string log_path;               // of lockstep-pmix
  topology::Environment environment;  // which ranks inherit
  OnMpiAbort on_abort;
  std::function<void(const std::string& why)> on_ended;  // the server has; of a child alone
};

struct MpiServerDeps {
  event::Loop& loop;
  process::Processes& processes;
};

/// Which server the ranks of a program need: `wanted`, or by what it is linked with. A pure
/// function.
proto::MpiServer ChooseMpiServer(proto::MpiServer wanted, const ProgramImage& program);

/// Of a choice: null for none. Before the first rank is spawned, on the loop's thread.
/// Errors: InvalidArgument - the job has ranks elsewhere, or goes on without those that fail, which
/// neither MPI can; else as PmixServer::Create.
base::Result<std::unique_ptr<MpiServer>> MakeMpiServer(proto::MpiServer chosen,
                                                       MpiServerOptions options,
                                                       MpiServerDeps deps);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_MPI_MAKE_MPI_SERVER_H_
