// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_SHM_STAGE_WRITER_H_
#define LOCKSTEP_COLLECTIVES_HOST_SHM_STAGE_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <tuple>

#include "collectives/host/shm/shm_layout.h"
#include "collectives/types.h"

namespace lockstep::collectives {

/// Which way of getting data to other members costs less, by measuring all of them: the one that
/// cost least is used, and another one tried now and then, or as soon as the first costs more.
/// Written through the caches they get it fastest, but to write lines that they have read before
/// means to take each away from their core. That costs about 1 ns a line where two ranks share a
/// core, and 20 to 30 ns where they do not; a virtual machine has both by turns. Past the caches it
/// costs 2 to 3 ns everywhere (EPYC, 2 processors). Where the kernel's copy from another process is
/// fast (a Xeon: twice as fast as an EPYC's), nothing is written at all, and each fetches.
///
/// A way is measured in a spell: one time around all that is written to (kRoundBytes), and then
/// kSpellUses. Through the caches it takes that long until no line comes from memory any more,
/// where another way has left it; by its first times this one would look the worst for ever. A try
/// of another way is short: kSpellUses alone.
///
/// Confined to one thread.
class WayOfMoving {
 public:
  enum Way : uint32_t { kThroughCaches, kPastCaches, kFetched };
  static constexpr uint32_t kWaysOfWriting = 2;  // the first of them
  static constexpr uint32_t kWays = 3;
  static constexpr int kSpellUses = 3;
  static constexpr size_t kRoundBytes = kStagesBytes;
  /// Spells between two tries, at most: as often as tries of all agree with what is used, twice as
  /// many as before.
  static constexpr int kMaxSpells = 64;
  /// What is used has got slow when it costs so many times what it did.
  static constexpr double kSlower = 1.5;

  /// Of the first `ways` of them; `first` is one of these.
  explicit WayOfMoving(Way first = kThroughCaches, uint32_t ways = kWaysOfWriting)
      : used_(first), tried_(first), ways_(ways) {}

  /// What to do the next time; the same until the next Record().
  Way Next() const { return trying_ ? tried_ : used_; }
  Way used() const { return used_; }
  /// What it cost. Of another way than Next()'s it says nothing.
  void Record(Way way, size_t bytes, uint64_t ticks);

 private:
  bool IsShort() const { return trying_ && tried_ != kThroughCaches; }
  bool Lasts(int spells) const;
  void Judge();
  void BeginTry();
  void BeginSpell();

  Way used_;
  Way tried_;  // the last time
  const uint32_t ways_;
  bool trying_ = false;
  uint32_t refused_ = 0;     // tries since what is used was chosen, or its time made longer
  int spells_ = 1;           // until the next try
  double used_cost_ = 0;     // in ticks per byte: the least since it was chosen; 0 = unknown
  double settled_cost_ = 0;  // of the spell before a try
  // Of the present spell. Of the last two times the lesser counts: a thread that lost its processor
  // meanwhile says nothing of memory.
  double cost_ = 0;
  double last_ = 0;
  int uses_ = 0;  // that are measured
  size_t bytes_ = 0;
};

/// The same for whole ops, with what their readers pay. For each kind and order of size on its own,
/// and of large ones in place, which find their outputs in the caches: beginning with what is used
/// by the one that was measured last. One member decides for all, so that none has the cost of
/// another one's choice: it says Next() to the others, all of whom Agree(). Confined to one thread.
class WaysOfOps {
 public:
  /// Less is fetched with more calls of the kernel than it saves.
  static constexpr size_t kFetchedBytes = size_t{512} << 10;

  /// Ops of these kinds may be fetched from now on: before the first Next().
  void MayFetch(bool (*kinds)(OpKind)) { may_fetch_ = kinds; }

  WayOfMoving::Way Next(OpKind kind, size_t bytes, bool in_place) {
    return of(kind, bytes, in_place).measured.Next();
  }
  void Record(OpKind kind, size_t bytes, bool in_place, WayOfMoving::Way way, uint64_t ticks);

  /// What is said in one op counts from the next one on.
  void Agree(OpKind kind, size_t bytes, WayOfMoving::Way way) {
    of(kind, bytes, false).agreed = way;
  }
  WayOfMoving::Way agreed(OpKind kind, size_t bytes) { return of(kind, bytes, false).agreed; }

 private:
  struct Ways {
    Ways(WayOfMoving::Way first, uint32_t ways) : measured(first, ways) {}

    WayOfMoving measured;
    WayOfMoving::Way agreed = WayOfMoving::kThroughCaches;
  };
  Ways& of(OpKind kind, size_t bytes, bool in_place);

  std::map<std::tuple<OpKind, int, bool>, Ways> ways_;
  WayOfMoving::Way last_used_ = WayOfMoving::kThroughCaches;
  bool (*may_fetch_)(OpKind) = nullptr;
};

/// Copies into memory that other members read. What it writes may be told to others at once.
void WriteStage(WayOfMoving::Way way, std::byte* to, const std::byte* from, size_t bytes);

/// Of a counter that goes on evenly: for comparing durations in one thread.
uint64_t Ticks();

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_SHM_STAGE_WRITER_H_
