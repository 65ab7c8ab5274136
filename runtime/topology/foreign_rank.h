// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_TOPOLOGY_FOREIGN_RANK_H_
#define LOCKSTEP_RUNTIME_TOPOLOGY_FOREIGN_RANK_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/topology/environment.h"

/// What another launcher has said to a process of its own about its place. Pure functions, for any
/// thread.
namespace lockstep::topology {

/// In the order in which their variables are looked for. A launcher that was started by another one
/// (mpirun in a Slurm step) hands the other's variables on, so the inner one comes first.
enum class ForeignLauncher : uint8_t {
  kHorovod,   // HOROVOD_RANK, _SIZE, _LOCAL_RANK, _LOCAL_SIZE
  kOpenMpi,   // OMPI_COMM_WORLD_RANK, _SIZE, _LOCAL_RANK, _LOCAL_SIZE
  kPmi,       // PMI_RANK, PMI_SIZE; MPI_LOCALRANKID, MPI_LOCALNRANKS of MPICH's and Intel's hydra
  kPmix,      // PMIX_RANK, which says no size: that is Slurm's, or in the variables of kVariables
  kSlurm,     // SLURM_PROCID and others, within a step alone: a batch script has some of them too
  kVariables  // RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE: torchrun, or a loop in a shell
};
/// For people: "mpirun (Open MPI)".
std::string_view ForeignLauncherName(ForeignLauncher launcher);

struct ForeignRank {
  ForeignLauncher launcher = ForeignLauncher::kVariables;
  base::Rank rank;
  int world_size = 1;
  base::LocalRank local_rank;
  int local_world_size = 1;
  /// Where that is told, or all ranks are on one node.
  std::optional<base::NodeIndex> node_index;
  std::optional<int> node_count;
  /// What no rank of another job of this launcher on this node has at the same time; "" when the
  /// environment names no job, so that the launcher's process has to stand for it.
  std::string job_key;
  /// The variable that tells this rank from the others: a process above this one that was started
  /// with the same value belongs to the rank and is not the launcher.
  std::string rank_variable;

  bool is_on_one_node() const { return local_world_size == world_size; }
};

/// Errors: InvalidArgument - no launcher's variables are there (the message lists what was looked
/// for), or the first set that is there is incomplete or contradicts itself: it names the variables
/// and the cure. A set by which this rank is alone is an error too when RANK and WORLD_SIZE say
/// that it is one of several: as worlds of one, all of them would write the same checkpoints.
base::Result<ForeignRank> FindForeignRank(const Environment& environment);

/// Whether a launcher other than torchrun or a loop has left variables: those of FindForeignRank
/// but RANK, WORLD_SIZE and the like, which `lockstep run` sets too.
bool HasLaunchersVariables(const Environment& environment);

}  // namespace lockstep::topology

#endif  // LOCKSTEP_RUNTIME_TOPOLOGY_FOREIGN_RANK_H_
