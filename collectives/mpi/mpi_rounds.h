// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_MPI_MPI_ROUNDS_H_
#define LOCKSTEP_COLLECTIVES_MPI_MPI_ROUNDS_H_

#include <cstddef>

#include "collectives/engine/op.h"
#include "collectives/engine/parts.h"
#include "collectives/mpi/mpi_call.h"

namespace lockstep::collectives {

/// How a collective passes through MPI: in rounds, each one call on memory of ours (see MpiCall)
/// that carries the next `chunk()` elements of every part. That also keeps counts below INT_MAX.
/// Rounds are equal in number on all members.
///
///   for each round:  Fill(round, call);  post and await the call;  Drain(round, call)
///
/// A value for one op, which it borrows. Const once made. Threads: any.
class MpiRounds {
 public:
  /// Bytes of one round, over all parts: large enough that a call's own cost (some 20 us) is lost
  /// in it, small enough that two of them stay in a second-level cache.
  static constexpr size_t kRoundBytes = size_t{1} << 20;

  /// `longest`: elements of the longest part on any member; only of an all_to_all_v not what Parts
  /// says.
  MpiRounds(const Op& op, int self, int size, size_t longest);
  MpiRounds(const Op& op, int self, int size)
      : MpiRounds(op, self, size, Parts(op, size).longest()) {}

  size_t count() const { return count_; }
  /// Elements of each part in a round.
  size_t chunk() const { return chunk_; }
  /// Makes `call` the round's: what it says, and its input.
  void Fill(size_t round, MpiCall& call) const;
  /// Copies what MPI left in `call` to where it belongs.
  void Drain(size_t round, const MpiCall& call) const;

 private:
  size_t Length(size_t part_count, size_t round) const;
  void FillReduce(size_t round, MpiCall& call) const;
  void FillReduceScatter(size_t round, MpiCall& call) const;
  void FillGathers(size_t round, MpiCall& call) const;
  void FillDeals(size_t round, MpiCall& call) const;
  /// Copies elements of the op's input into MPI's memory, scaled where the op says so.
  void CopyIn(std::byte* to, size_t first, size_t count) const;
  /// Copies elements to the op's output, divided where the op says so.
  void CopyOut(size_t first, const std::byte* from, size_t count) const;

  const Op& op_;
  const int self_;
  const size_t size_;
  const size_t unit_;  // bytes of an element
  const Parts parts_;
  size_t chunk_ = 0;
  size_t count_ = 0;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_MPI_MPI_ROUNDS_H_
