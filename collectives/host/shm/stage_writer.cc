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
namespace {

// Less is over before it could be measured.
constexpr size_t kMeasuredBytes = 1024;

// An op's duration has what its readers pay in it.
constexpr double kOpsShare = 1;

}  // namespace

uint64_t Ticks() {
#if defined(__x86_64__)
  return __rdtsc();
#else
  return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
#endif
}

WayOfWriting::Way WayOfWriting::Next() const {
  const Cost& through = costs_[kThroughCaches];
  const Cost& past = costs_[kPastCaches];
  if (through.uses < kFirstUses) return kThroughCaches;
  if (past.uses < kFirstUses) return kPastCaches;
  const bool past_is_best = through.ticks_per_byte > through_may_cost_ * past.ticks_per_byte;
  return past_is_best != (until_try_ == 1) ? kPastCaches : kThroughCaches;
}

void WayOfWriting::Record(Way way, size_t bytes, uint64_t ticks) {
  if (costs_[kPastCaches].uses == kFirstUses && --until_try_ == 0) until_try_ = kTryEvery;
  const double cost = static_cast<double>(ticks + 1) / static_cast<double>(bytes);
  Cost& kept = costs_[way];
  const bool is_stale = kept.uses == 0 || kept.unused > kFirstUses;
  kept.ticks_per_byte = is_stale ? cost : std::min(cost, kept.last);
  kept.last = cost;
  kept.uses = std::min(kept.uses + 1, kFirstUses);
  kept.unused = 0;
  ++costs_[way == kPastCaches ? kThroughCaches : kPastCaches].unused;
}

WayOfWriting& WaysOfOps::of(OpKind kind, size_t bytes) {
  return ways_.try_emplace({kind, std::bit_width(bytes)}, kOpsShare).first->second;
}

void WriteStage(WayOfWriting::Way way, std::byte* to, const std::byte* from, size_t bytes) {
  if (way == WayOfWriting::kThroughCaches) {
    std::memcpy(to, from, bytes);
    return;
  }
  StreamCopy(to, from, bytes);
  FenceStreamCopies();
}

void StageWriter::Write(std::byte* to, const std::byte* from, size_t bytes) {
  if (bytes < kMeasuredBytes) {
    std::memcpy(to, from, bytes);
    return;
  }
  const WayOfWriting::Way way = way_.Next();
  const uint64_t begun = Ticks();
  WriteStage(way, to, from, bytes);
  way_.Record(way, bytes, Ticks() - begun);
}

}  // namespace lockstep::collectives
