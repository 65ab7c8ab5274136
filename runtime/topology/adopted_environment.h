// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_TOPOLOGY_ADOPTED_ENVIRONMENT_H_
#define LOCKSTEP_RUNTIME_TOPOLOGY_ADOPTED_ENVIRONMENT_H_

#include <string>

#include "runtime/base/clock.h"
#include "runtime/topology/environment.h"
#include "runtime/topology/foreign_rank.h"

/// The environment of ranks that another launcher has started, beside environment.h, which makes
/// that of our own. Pure functions, for any thread.
namespace lockstep::topology {

struct AdoptionFacts {
  std::string job_id;
  std::string socket_path;           // where the rank attaches to the agent of its node
  std::string cookie;                // what it proves itself with there: a secret
  std::string checkpoint_directory;  // "" = none
  std::string backend;               // "host", "mpi", "nccl"; "" = the host's
  std::string check;                 // "fast", "strict"; "" = fast
  base::Duration stop_grace{0};      // what `lockstep stop` gives the ranks to end
  int master_port = 0;               // kept for the job on its one node; 0 = none was asked for
};

/// Whether the ranks are told by nobody at which port they meet, and one that is kept on this node
/// serves them all.
bool NeedsMasterPort(const ForeignRank& rank, const Environment& inherited);

/// `inherited` as it came, but for:
///   - RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE: those of `rank`;
///   - GROUP_RANK, GROUP_WORLD_SIZE: the node's place, where it is known;
///   - LOCKSTEP_*: the agent's; another job's are taken out, LOCKSTEP_MARK stays;
///   - what else torchrun sets (IsWorldVariable): another job's, so it is taken out, unless whoever
///     set RANK has placed this rank;
///   - MASTER_ADDR and MASTER_PORT: as they are when they are set; else, of ranks on one node,
///     127.0.0.1 and `master_port`. Of ranks on several nodes they stay unset.
/// Not OMP_NUM_THREADS and the like: the launcher may have bound each rank to cores of its own, and
/// what suits that is its user's to say.
Environment MakeAdoptedEnvironment(const ForeignRank& rank, const AdoptionFacts& facts,
                                   const Environment& inherited);

}  // namespace lockstep::topology

#endif  // LOCKSTEP_RUNTIME_TOPOLOGY_ADOPTED_ENVIRONMENT_H_
