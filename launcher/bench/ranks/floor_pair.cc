// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/bench/ranks/floor_pair.h"

#include <sched.h>

#include <chrono>
#include <cstring>
#include <new>
#include <string>
#include <utility>

namespace lockstep::launcher {
namespace {

constexpr base::Duration kMemoryTimeout = std::chrono::seconds(10);
// Longer than any copy of the largest windows takes: to yield in between would only delay the look
// that sees the word. Beyond it the other has no processor.
constexpr int kSpins = 1 << 14;

size_t RoundedUp(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

void AwaitWord(const std::atomic<uint64_t>& said, uint64_t word) {
  int spins = 0;
  while (said.load(std::memory_order_acquire) < word) {
#if defined(__x86_64__)
    __builtin_ia32_pause();  // costs the way of a line nothing that could be measured
#endif
    if (++spins > kSpins) ::sched_yield();
  }
}

}  // namespace

base::Result<std::unique_ptr<FloorPair>> FloorPair::Create(collectives::SegmentSource& source,
                                                           int rank) {
  if (rank < 0 || rank >= kRanks) {
    return base::InvalidArgumentError("the floor is of " + std::to_string(kRanks) +
                                      " ranks, and rank " + std::to_string(rank) +
                                      " is none of them");
  }
  std::unique_ptr<FloorPair> pair(new FloorPair(source, rank));
  constexpr size_t kHeadBytes = collectives::kHugePageBytes;
  static_assert(sizeof(Head) <= kHeadBytes);
  ASSIGN_OR_RETURN(pair->own_, pair->Open(kHeadBytes + kRanks * kStages * kStageBytes));
  std::byte* const memory = pair->own_->data();
  // Zeroed memory is the valid first state, and both may say so.
  auto* const head = std::launder(reinterpret_cast<Head*>(memory));
  pair->lines_ = head->lines.data();
  pair->exchanges_ = head->exchanges.data();
  pair->stages_ = memory + kHeadBytes;
  const auto mine = static_cast<size_t>(pair->Stage(rank, 0) - memory);
  pair->own_->UseHugePages(mine, kStages * kStageBytes);
  return pair;
}

base::Result<std::shared_ptr<collectives::Segment>> FloorPair::Open(size_t bytes) {
  const base::GroupId id = next_id_;
  ++next_id_;
  return source_.Open({.group = id, .member_count = kRanks, .member_index = rank_, .bytes = bytes},
                      kMemoryTimeout);
}

base::Result<std::byte*> FloorPair::Share(size_t bytes) {
  const size_t part = RoundedUp(bytes, collectives::kHugePageBytes);
  ASSIGN_OR_RETURN(shared_, Open(kRanks * part));
  const size_t offset = static_cast<size_t>(rank_) * part;
  shared_->UseHugePages(offset, part);
  mirror_distance_ = rank_ == 0 ? static_cast<ptrdiff_t>(part) : -static_cast<ptrdiff_t>(part);
  return shared_->data() + offset;
}

void FloorPair::Await(uint64_t word) const { AwaitWord(lines_[other()].word, word); }

// Two lines are enough: who writes the first again has seen the other's second, which was said
// after the first had been read.
const std::byte* FloorPair::Exchange(const std::byte* mine, size_t bytes) {
  const uint64_t number = ++exchanged_;
  Line& said = exchanges_[rank_][number % 2];
  std::memcpy(said.payload, mine, bytes);
  said.word.store(number, std::memory_order_release);
  const Line& heard = exchanges_[other()][number % 2];
  AwaitWord(heard.word, number);
  return heard.payload;
}

}  // namespace lockstep::launcher
