// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_SHM_STAGE_WRITER_H_
#define LOCKSTEP_COLLECTIVES_HOST_SHM_STAGE_WRITER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>

#include "collectives/types.h"

namespace lockstep::collectives {

/// Which way of writing into memory that other members read costs less, by measuring both: the one
/// that cost less when last used, and the other once in kTryEvery times. Through the caches they
/// get it fastest, but to write lines that they have read before means to take each away from their
/// core. That costs about 1 ns a line where two ranks share a core, and 20 to 30 ns where they do
/// not; a virtual machine has both by turns. Past the caches it costs 2 to 3 ns everywhere (EPYC,
/// 2 processors). Confined to one thread.
class WayOfWriting {
 public:
  enum Way : uint32_t { kThroughCaches, kPastCaches };
  static constexpr int kTryEvery = 64;
  /// Of each, before they are compared: the very first time costs more.
  static constexpr int kFirstUses = 2;

  /// `through_may_cost`: times what it costs past the caches, whose price others pay in part.
  explicit WayOfWriting(double through_may_cost) : through_may_cost_(through_may_cost) {}

  /// How to write the next time; the same until the next Record().
  Way Next() const;
  /// What it cost.
  void Record(Way way, size_t bytes, uint64_t ticks);

 private:
  const double through_may_cost_;
  // Of its last two times the lesser counts, unless the other way was taken for long in between:
  // a thread that lost its processor meanwhile says nothing of memory.
  struct Cost {
    double ticks_per_byte = 0;
    double last = 0;
    int uses = 0;    // up to kFirstUses
    int unused = 0;  // times, since
  };
  std::array<Cost, 2> costs_;
  int until_try_ = kTryEvery;
};

/// The same for ops that pass through staging windows: by how long the whole op took, which is what
/// writers and readers pay together. For each kind and order of size on its own. Confined to one
/// thread.
class WaysOfOps {
 public:
  WayOfWriting::Way Next(OpKind kind, size_t bytes) { return of(kind, bytes).Next(); }
  void Record(OpKind kind, size_t bytes, WayOfWriting::Way way, uint64_t ticks) {
    of(kind, bytes).Record(way, bytes, ticks);
  }

 private:
  WayOfWriting& of(OpKind kind, size_t bytes);

  std::map<std::pair<OpKind, int>, WayOfWriting> ways_;
};

/// Copies into memory that other members read. What it writes may be told to others at once.
void WriteStage(WayOfWriting::Way way, std::byte* to, const std::byte* from, size_t bytes);

/// WriteStage() in pieces of about the same size, by what each costs its writer. Confined to one
/// thread.
class StageWriter {
 public:
  void Write(std::byte* to, const std::byte* from, size_t bytes);

 private:
  // Whoever reads what went past the caches pays for it: it must be worth that.
  static constexpr double kReadersShare = 2;

  WayOfWriting way_{kReadersShare};
};

/// Of a counter that goes on evenly: for comparing durations in one thread.
uint64_t Ticks();

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_SHM_STAGE_WRITER_H_
