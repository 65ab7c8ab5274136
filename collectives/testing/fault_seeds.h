// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_TESTING_FAULT_SEEDS_H_
#define LOCKSTEP_COLLECTIVES_TESTING_FAULT_SEEDS_H_

#include <stdlib.h>

#include <cstdint>
#include <string>
#include <vector>

namespace lockstep::collectives::testing {

/// The seeds of a randomized test: LOCKSTEP_SEED alone, where it is set; else so many, and many
/// more where LOCKSTEP_SOAK is.
inline std::vector<uint64_t> FaultSeeds(uint64_t count, uint64_t count_in_soak) {
  if (const char* const one = ::getenv("LOCKSTEP_SEED")) return {std::stoull(one)};
  std::vector<uint64_t> seeds(::getenv("LOCKSTEP_SOAK") == nullptr ? count : count_in_soak);
  for (uint64_t i = 0; i < seeds.size(); ++i) seeds[i] = i;
  return seeds;
}

}  // namespace lockstep::collectives::testing

#endif  // LOCKSTEP_COLLECTIVES_TESTING_FAULT_SEEDS_H_
