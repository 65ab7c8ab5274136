// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "elastic/blame.h"

#include <csignal>
#include <cstdint>

namespace lockstep::elastic {
namespace {

/// In the order of what they say about their own rank.
enum class Strength : uint8_t { kWeak, kSignal, kOutOfMemory };

Strength StrengthOf(const RankRecord& rank) {
  if (!rank.exit.has_value())
    return Strength::kSignal;  // SpawnFailed or RanksLost: no peer had a part in it
  if (rank.exit->out_of_memory) return Strength::kOutOfMemory;
  const int signal = rank.exit->signal;
  return signal == 0 || signal == SIGABRT || signal == SIGPIPE ? Strength::kWeak
                                                               : Strength::kSignal;
}

}  // namespace

bool IsWeak(const RankRecord& rank) { return StrengthOf(rank) == Strength::kWeak; }

bool CertainlyBefore(const RankRecord& one, const RankRecord& other) {
  return one.ended_at + one.ended_error < other.ended_at - other.ended_error;
}

bool IsRatherTheCulprit(const RankRecord& rank, const RankRecord& culprit) {
  if (StrengthOf(rank) != StrengthOf(culprit)) return StrengthOf(rank) > StrengthOf(culprit);
  return CertainlyBefore(rank, culprit);
}

}  // namespace lockstep::elastic
