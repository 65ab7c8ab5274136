// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_RANK_SESSION_BACKEND_H_
#define LOCKSTEP_RUNTIME_RANK_SESSION_BACKEND_H_

#include <memory>
#include <string>

#include "collectives/engine/backend.h"
#include "collectives/engine/queued_group.h"
#include "collectives/group.h"
#include "collectives/host/tcp/tcp_link.h"
#include "collectives/nccl/nccl_runtime.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/rank/session.h"
#include "runtime/rank/session_factory.h"

/// Which libraries a session's groups go over, and how those are found. Only what a session asks
/// for is loaded. Functions without state, for any thread.
namespace lockstep::rank {

/// What `options` says, else LOCKSTEP_JOB_BACKEND, else kHost. Errors: InvalidArgument - the
/// variable names no backend.
base::Result<Backend> BackendOf(const SessionOptions& options, const RankEnvironment& environment);

/// What `options` says, else whether LOCKSTEP_JOB_CHECK is "strict", else false. Errors:
/// InvalidArgument - the variable is neither that nor "fast".
base::Result<bool> ChecksCalls(const SessionOptions& options, const RankEnvironment& environment);

/// How the job has ranks of several machines talk: LOCKSTEP_JOB_ENCRYPT_DATA (0 or 1),
/// LOCKSTEP_JOB_TCP_FLOWS (1 to 16) and LOCKSTEP_JOB_TCP_LINK (what the way between them costs:
/// microseconds, and GB a second: "20,5"); no, 1, and to be measured, where they are unset. Errors:
/// InvalidArgument - they are something else.
struct DataPath {
  bool encrypts = false;
  int flows = 1;
  collectives::TcpLink link;
};
base::Result<DataPath> DataPathOf(const RankEnvironment& environment);

/// The liblockstep_mpi_*.so of the MPI that has started this process: LOCKSTEP_MPI_LIBRARY, else
/// that of the MPI whose launcher's variables are there, beside the program. Errors:
/// FailedPrecondition - no MPI's launcher has started this process, or one that could be any MPI's.
base::Result<std::string> MpiLibraryOf(const RankEnvironment& environment);

/// The place of a rank that mpirun or srun has started, with no agent. Errors: FailedPrecondition -
/// none has.
base::Result<World> WorldOfLauncher(const RankEnvironment& environment);

/// Starts the MPI of `library` (MpiLibraryOf), which waits for all ranks, at most `timeout`.
/// Errors: those of MpiEngine::Start; FailedPrecondition - this program is linked statically.
base::Result<std::shared_ptr<collectives::BackendMaker>> StartMpi(const std::string& library,
                                                                  bool check_calls,
                                                                  base::Duration timeout);

/// NCCL's libraries and threads, for groups whose members meet on `boards`. Errors: NotFound,
/// FailedPrecondition - libnccl or libcudart is missing, or this program is linked statically.
base::Result<std::shared_ptr<collectives::NcclRuntime>> StartNccl(
    std::shared_ptr<collectives::BoardSource> boards);

/// The world over NCCL; `config` as for host backends. GPU of a rank: the one of its local rank
/// among those that the process sees, or the only one. Errors: FailedPrecondition - there is none;
/// those of NcclGroup::Create.
base::Result<std::shared_ptr<collectives::Group>> MakeNcclWorld(
    collectives::QueuedGroup::Config config, base::LocalRank local_rank, bool check_calls,
    std::shared_ptr<collectives::NcclRuntime> runtime);

}  // namespace lockstep::rank

#endif  // LOCKSTEP_RUNTIME_RANK_SESSION_BACKEND_H_
