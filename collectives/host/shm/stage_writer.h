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

  /// How to write the next time; the same until the next Record().
  Way Next() const;
  /// What it cost.
  void Record(Way way, size_t bytes, uint64_t ticks);

 private:
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

/// The same for whole ops, with what their readers pay. For each kind and order of size on its own.
/// One member decides for all, so that none has the cost of another one's choice: it says Next() to
/// the others, all of whom Agree(). Confined to one thread.
class WaysOfOps {
 public:
  WayOfWriting::Way Next(OpKind kind, size_t bytes) { return of(kind, bytes).measured.Next(); }
  void Record(OpKind kind, size_t bytes, WayOfWriting::Way way, uint64_t ticks) {
    of(kind, bytes).measured.Record(way, bytes, ticks);
  }

  /// What is said in one op counts from the next one on.
  void Agree(OpKind kind, size_t bytes, WayOfWriting::Way way) { of(kind, bytes).agreed = way; }
  WayOfWriting::Way agreed(OpKind kind, size_t bytes) { return of(kind, bytes).agreed; }

 private:
  struct Ways {
    WayOfWriting measured;
    WayOfWriting::Way agreed = WayOfWriting::kThroughCaches;
  };
  Ways& of(OpKind kind, size_t bytes);

  std::map<std::pair<OpKind, int>, Ways> ways_;
};

/// Copies into memory that other members read. What it writes may be told to others at once.
void WriteStage(WayOfWriting::Way way, std::byte* to, const std::byte* from, size_t bytes);

/// Of a counter that goes on evenly: for comparing durations in one thread.
uint64_t Ticks();

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_SHM_STAGE_WRITER_H_
