// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_MPI_MPI_TRANSFERS_H_
#define LOCKSTEP_COLLECTIVES_MPI_MPI_TRANSFERS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "collectives/engine/backend.h"
#include "collectives/mpi/mpi_call.h"
#include "collectives/mpi/mpi_engine.h"
#include "collectives/mpi/mpi_group.h"

namespace lockstep::collectives {

/// Sends and receives of one member over MPI: a head that says what comes, then the payload in
/// pieces, two of them under way at a time, all on memory of ours (MpiCall). MPI keeps the order of
/// messages of one pair and tag, so the n-th head meets the n-th receive; the head's number is
/// checked. One in each MpiBackend. Threads: confined to whoever is in Backend::Advance().
class MpiTransfers {
 public:
  /// Both outlive this.
  MpiTransfers(MpiEngine& engine, std::shared_ptr<MpiGroup> group);

  bool Advance(Moving& moving);
  /// How many are through, by member.
  const std::vector<uint64_t>& sends() const { return sends_; }
  const std::vector<uint64_t>& receives() const { return receives_; }

 private:
  struct Head;
  /// What one direction of a pair has under way.
  struct Lane {
    std::shared_ptr<MpiCall> head;
    std::deque<std::pair<std::shared_ptr<MpiCall>, size_t>> pieces;  // and their bytes
    size_t posted = 0;                                               // bytes of the payload
  };

  /// Each returns true once the transfer is through, or failed as its result says.
  bool Push(Moving& moving, Lane& lane);
  bool Pull(Moving& moving, Lane& lane);
  void PostPiece(const Moving& moving, Lane& lane);
  /// False: not yet, or failed.
  bool ReadHead(Moving& moving, const Lane& lane);
  bool Failed(Moving& moving, const MpiCall& call);
  bool PeerIsGone(const Moving& moving) const;
  std::string Describe(const Moving& moving) const;

  MpiEngine& engine_;
  const std::shared_ptr<MpiGroup> group_;
  std::map<std::pair<int, bool>, Lane> lanes_;  // by member; whether it receives
  std::vector<uint64_t> sends_, receives_;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_MPI_MPI_TRANSFERS_H_
