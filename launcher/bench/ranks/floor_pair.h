// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_BENCH_RANKS_FLOOR_PAIR_H_
#define LOCKSTEP_LAUNCHER_BENCH_RANKS_FLOOR_PAIR_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "collectives/host/shm/segment.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"

namespace lockstep::launcher {

/// Two processes that share memory, and the cheapest words between them: a cache line of each, on
/// which the other spins. Nothing looks whether the other lives, what it calls, or how late it is:
/// that is what makes it a floor. One in a rank; confined to one thread. Waits have no end of their
/// own: the rank harness ends the process (alarm) when a command takes too long.
class FloorPair {
 public:
  static constexpr int kRanks = 2;
  static constexpr size_t kLineBytes = 64;
  static constexpr size_t kInlineBytes = 48;  // that pass with a word, in the same line
  /// Of each rank, for what is copied on its way. More than a second-level cache: a line that the
  /// other has read is not written again before others have pushed it out there.
  static constexpr size_t kStageBytes = size_t{2} << 20;
  static constexpr size_t kStages = 2;

  /// Both ends name the same `source`, which outlives them. Errors: InvalidArgument - `rank` is not
  /// 0 or 1; those of the source.
  static base::Result<std::unique_ptr<FloorPair>> Create(collectives::SegmentSource& source,
                                                         int rank);

  int rank() const { return rank_; }
  int other() const { return 1 - rank_; }

  /// Memory that the other maps too, aligned to a page, for the rest of the process: on huge pages
  /// where the kernel gives them, as AllocBuffer's. The last call's alone is mirrored. Errors: the
  /// source's.
  base::Result<std::byte*> Share(size_t bytes);
  bool shares() const { return shared_ != nullptr; }
  /// The other's byte in the place of ours in memory of Share().
  template <class T>
  T* Mirrored(T* ours) const {
    return ours + mirror_distance_;
  }

  /// Words are numbers that only grow, and after Say(n) the other sees all that was written before.
  void Say(uint64_t word) { mine().word.store(word, std::memory_order_release); }
  /// Blocks: until the other has said that much.
  void Await(uint64_t word) const;
  /// Of our line, written before a word and read by the other after it.
  std::byte* my_payload() { return mine().payload; }
  const std::byte* other_payload() const { return lines_[other()].payload; }

  /// One line there and one back, and nothing else: says `bytes`, at most kInlineBytes, and returns
  /// where the other's lie until the next call but one. Blocks: until it has called too.
  const std::byte* Exchange(const std::byte* mine, size_t bytes);

  /// Of `rank`: kStageBytes that it alone writes.
  std::byte* Stage(int rank, size_t number) const {
    return stages_ + (static_cast<size_t>(rank) * kStages + number) * kStageBytes;
  }

 private:
  // A line of its own, and apart from the next by as much as processors fetch at once.
  struct alignas(2 * kLineBytes) Line {
    std::atomic<uint64_t> word;
    std::byte payload[kInlineBytes];
  };
  struct Head {
    std::array<Line, kRanks> lines;
    std::array<std::array<Line, 2>, kRanks> exchanges;  // by the parity of their number
  };

  FloorPair(collectives::SegmentSource& source, int rank) : source_(source), rank_(rank) {}
  base::Result<std::shared_ptr<collectives::Segment>> Open(size_t bytes);
  Line& mine() const { return lines_[rank_]; }

  collectives::SegmentSource& source_;
  const int rank_;
  base::GroupId next_id_{0xf1002};  // of the next segment: equal on both
  std::shared_ptr<collectives::Segment> own_;
  std::shared_ptr<collectives::Segment> shared_;
  Line* lines_ = nullptr;  // these three in own_
  std::array<Line, 2>* exchanges_ = nullptr;
  std::byte* stages_ = nullptr;
  ptrdiff_t mirror_distance_ = 0;
  uint64_t exchanged_ = 0;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_BENCH_RANKS_FLOOR_PAIR_H_
