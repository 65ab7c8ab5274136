// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/shm/stage_writer.h"

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

uint64_t Ticks() {
#if defined(__x86_64__)
  return __rdtsc();
#else
  return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
#endif
}

}  // namespace

WayOfWriting::Way WayOfWriting::Next() {
  if (ticks_per_byte_[kThroughCaches] == 0) return kThroughCaches;
  if (ticks_per_byte_[kPastCaches] == 0) return kPastCaches;
  const Way best = ticks_per_byte_[kThroughCaches] > kReadersShare * ticks_per_byte_[kPastCaches]
                       ? kPastCaches
                       : kThroughCaches;
  if (++until_try_ < kTryEvery) return best;
  until_try_ = 0;
  return best == kPastCaches ? kThroughCaches : kPastCaches;
}

void WayOfWriting::Record(Way way, size_t bytes, uint64_t ticks) {
  ticks_per_byte_[way] = static_cast<double>(ticks + 1) / static_cast<double>(bytes);
}

void StageWriter::Write(std::byte* to, const std::byte* from, size_t bytes) {
  if (bytes < kMeasuredBytes) {
    std::memcpy(to, from, bytes);
    return;
  }
  const WayOfWriting::Way way = way_.Next();
  const uint64_t begun = Ticks();
  if (way == WayOfWriting::kPastCaches) {
    StreamCopy(to, from, bytes);
    FenceStreamCopies();
  } else {
    std::memcpy(to, from, bytes);
  }
  way_.Record(way, bytes, Ticks() - begun);
}

}  // namespace lockstep::collectives
