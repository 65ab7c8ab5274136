// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_RANK_SESSION_FACTORY_H_
#define LOCKSTEP_RUNTIME_RANK_SESSION_FACTORY_H_

#include <map>
#include <memory>
#include <string>

#include "runtime/base/result.h"
#include "runtime/rank/session.h"

namespace lockstep::rank {

/// The process's environment, of which a session reads what places a rank: RANK, WORLD_SIZE,
/// LOCKSTEP_SOCKET, LOCKSTEP_COOKIE, LOCKSTEP_JOB_BACKEND, LOCKSTEP_JOB_CHECK,
/// LOCKSTEP_JOB_ENCRYPT_DATA, LOCKSTEP_JOB_TCP_FLOWS, LOCKSTEP_JOB_TCP_LINK, LOCKSTEP_MPI_LIBRARY,
/// and those by which other launchers say that there are several (OMPI_COMM_WORLD_SIZE, PMI_SIZE,
/// SLURM_STEP_NUM_TASKS); of ranks of MPI what topology::FindForeignRank looks for.
using RankEnvironment = std::map<std::string, std::string>;

/// Session::Create with the environment given, for tests whose ranks are threads. Errors: as
/// Create.
base::Result<std::unique_ptr<Session>> CreateSessionFrom(const RankEnvironment& environment,
                                                         const SessionOptions& options = {});

}  // namespace lockstep::rank

#endif  // LOCKSTEP_RUNTIME_RANK_SESSION_FACTORY_H_
