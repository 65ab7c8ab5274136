// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_MPI_MPI_FAULTS_GROUPS_H_
#define LOCKSTEP_COLLECTIVES_MPI_MPI_FAULTS_GROUPS_H_

#include <atomic>
#include <chrono>

#include "collectives/mpi/fault_rank.h"

namespace lockstep::collectives::testing {

// What happens to a rank of mpi_faults: groups that come and go, and counts. On its main thread.

/// Groups of ranks 1 and 2 that these have given up are still being made, one after the other, when
/// they end their MPI; rank 0 said that they may begin. `making_takes`: how long a communicator of
/// a part of the world takes from now on, at least.
void EndsWhileMaking(FaultRank& rank, std::atomic<std::chrono::milliseconds>& making_takes);

/// What there is in /proc and in memory before and after `groups` groups of all and of some, and
/// half as many that do not come about.
void Churn(FaultRank& rank, int groups);

/// More elements than an int counts.
void LargeCounts(FaultRank& rank);

/// Counts of parts in which rank 2 differs, in groups that compare calls, and, of all_to_all_v, in
/// one that does not; of a buffer that is to be the same everywhere rank 1 has another element.
void Differ(FaultRank& rank);

/// Rank 0 calls alone, with the timeout that it gave its group between two ops.
void ChangesTimeout(FaultRank& rank);

}  // namespace lockstep::collectives::testing

#endif  // LOCKSTEP_COLLECTIVES_MPI_MPI_FAULTS_GROUPS_H_
