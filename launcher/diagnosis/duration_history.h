// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_DIAGNOSIS_DURATION_HISTORY_H_
#define LOCKSTEP_LAUNCHER_DIAGNOSIS_DURATION_HISTORY_H_

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "runtime/base/clock.h"

namespace lockstep::launcher {

/// How long ops took: counts by size, exact to a quarter, 1 KiB. What was long ago counts less.
/// Confined to one thread.
class DurationHistory {
 public:
  void Add(base::Duration duration) {
    if (total_ == kForgetAt) Forget();
    ++counts_[SlotOf(duration)];
    ++total_;
  }

  /// What all took at most, but for one in a hundred, and for the longest in any case: one that met
  /// something unusual, of which each member made a record. nullopt of fewer than kLeast.
  std::optional<base::Duration> UsualAtMost(uint32_t members) const {
    if (total_ / kLeast < members) return std::nullopt;
    uint32_t left_out = total_ / 100 + members;
    size_t slot = counts_.size() - 1;
    while (slot > 0 && counts_[slot] <= left_out) left_out -= counts_[slot--];
    return base::Duration(UpperEnd(slot));
  }

 private:
  static constexpr uint32_t kLeast = 5;
  static constexpr uint32_t kForgetAt = 8192;

  static size_t SlotOf(base::Duration duration) {
    const auto value = static_cast<uint64_t>(duration.count() > 4 ? duration.count() : 4);
    const auto power = static_cast<size_t>(std::bit_width(value) - 1);
    return power * 4 + (value >> (power - 2)) % 4;
  }
  static int64_t UpperEnd(size_t slot) {
    return static_cast<int64_t>((5 + slot % 4) << (slot / 4)) / 4;
  }

  void Forget() {
    total_ = 0;
    for (uint32_t& count : counts_) total_ += count /= 2;
  }

  std::array<uint32_t, 256> counts_{};
  uint32_t total_ = 0;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_DIAGNOSIS_DURATION_HISTORY_H_
