// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_BASE_RANDOM_H_
#define LOCKSTEP_RUNTIME_BASE_RANDOM_H_

#include <cstdint>

namespace lockstep::base {

/// A small seeded generator, the same on every platform and release, so that a seed replays a
/// schedule bit for bit. Not for secrets. Source: splitmix64 (Steele, Lea, Flood: Fast splittable
/// pseudorandom number generators, 2014).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  /// Uniform in [0, limit); limit > 0. The bias is below limit / 2^64.
  uint64_t Below(uint64_t limit) {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(Next()) * limit) >> 64);
  }
  /// Uniform in [0, 1).
  double Unit() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }

 private:
  uint64_t state_;
};

}  // namespace lockstep::base

#endif  // LOCKSTEP_RUNTIME_BASE_RANDOM_H_
