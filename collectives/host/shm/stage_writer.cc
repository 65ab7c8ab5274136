// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/shm/stage_writer.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "collectives/host/shm/stream_copy.h"

#if defined(__x86_64__)
#include <x86intrin.h>
#else
#include <chrono>
#endif

namespace lockstep::collectives {

uint64_t Ticks() {
#if defined(__x86_64__)
  return __rdtsc();
#else
  return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
#endif
}

void WayOfMoving::Record(Way way, size_t bytes, uint64_t ticks) {
  if (way != Next() || bytes == 0) return;
  const double cost = static_cast<double>(ticks + 1) / static_cast<double>(bytes);
  if (bytes_ >= kRoundBytes || IsShort()) ++uses_;
  cost_ = uses_ <= 1 ? cost : std::min(cost, last_);
  last_ = cost;
  bytes_ += bytes;
  if (!Lasts(1)) return;
  if (trying_) {
    Judge();
    return;
  }
  if (used_cost_ == 0 || cost_ < used_cost_) used_cost_ = cost_;
  const bool is_slow = cost_ > kSlower * used_cost_ && Lasts(2);
  if (is_slow) spells_ = 1;  // all others are tried soon
  if (Lasts(spells_) || is_slow) {
    settled_cost_ = cost_;
    BeginTry();
  }
}

/// Whether what is measured now has been used for so many spells.
bool WayOfMoving::Lasts(int spells) const {
  return uses_ >= spells * kSpellUses &&
         (IsShort() || bytes_ >= static_cast<size_t>(spells) * kRoundBytes);
}

void WayOfMoving::Judge() {
  if (cost_ < settled_cost_) {
    used_ = tried_;
    used_cost_ = cost_;
    spells_ = 1;
    refused_ = 0;
  } else {
    used_cost_ = settled_cost_;
    if (++refused_ >= ways_ - 1) {
      refused_ = 0;
      spells_ = std::min(2 * spells_, kMaxSpells);
    }
  }
  trying_ = false;
  BeginSpell();
}

void WayOfMoving::BeginTry() {
  do {
    tried_ = static_cast<Way>((tried_ + 1) % ways_);
  } while (tried_ == used_);
  trying_ = true;
  BeginSpell();
}

void WayOfMoving::BeginSpell() {
  uses_ = 0;
  bytes_ = 0;
}

void WaysOfOps::Record(OpKind kind, size_t bytes, bool in_place, WayOfMoving::Way way,
                       uint64_t ticks) {
  WayOfMoving& measured = of(kind, bytes, in_place).measured;
  measured.Record(way, bytes, ticks);
  last_used_ = measured.used();
}

WaysOfOps::Ways& WaysOfOps::of(OpKind kind, size_t bytes, bool in_place) {
  const auto order = static_cast<int>(std::bit_width(bytes));
  const bool may_fetch = may_fetch_ != nullptr && may_fetch_(kind) &&
                         order >= static_cast<int>(std::bit_width(kFetchedBytes));
  const uint32_t ways = may_fetch ? WayOfMoving::kWays : WayOfMoving::kWaysOfWriting;
  const WayOfMoving::Way first = last_used_ < ways ? last_used_ : WayOfMoving::kThroughCaches;
  return ways_.try_emplace({kind, order, in_place}, first, ways).first->second;
}

void WriteStage(WayOfMoving::Way way, std::byte* to, const std::byte* from, size_t bytes) {
  if (way == WayOfMoving::kThroughCaches) {
    std::memcpy(to, from, bytes);
    return;
  }
  StreamCopy(to, from, bytes);
  FenceStreamCopies();
}

}  // namespace lockstep::collectives
