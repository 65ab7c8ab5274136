// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_TESTING_COMBINED_H_
#define LOCKSTEP_COLLECTIVES_TESTING_COMBINED_H_

#include <algorithm>
#include <cstdint>

#include "collectives/types.h"

namespace lockstep::collectives::testing {

/// Two integers by plain arithmetic, which wraps around; an average's sum.
template <class T>
T Combined(Reduction reduction, T a, T b) {
  const auto wide_a = static_cast<uint64_t>(a), wide_b = static_cast<uint64_t>(b);
  switch (reduction) {
    case Reduction::kProduct: return static_cast<T>(wide_a * wide_b);
    case Reduction::kMin: return std::min(a, b);
    case Reduction::kMax: return std::max(a, b);
    case Reduction::kBitAnd: return static_cast<T>(wide_a & wide_b);
    case Reduction::kBitOr: return static_cast<T>(wide_a | wide_b);
    case Reduction::kBitXor: return static_cast<T>(wide_a ^ wide_b);
    default: return static_cast<T>(wide_a + wide_b);
  }
}

}  // namespace lockstep::collectives::testing

#endif  // LOCKSTEP_COLLECTIVES_TESTING_COMBINED_H_
