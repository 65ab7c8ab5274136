// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_RANK_SAMPLER_PERMUTATION_H_
#define LOCKSTEP_RUNTIME_RANK_SAMPLER_PERMUTATION_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace lockstep::rank {

/// A shuffled order of [0, size) that needs no memory for it: at(i) is computed. The same on every
/// platform and in every release, for checkpoints count on it. A value; thread-safe.
///
/// How: a Feistel network permutes [0, 2^bits), the smallest such domain that holds size; a value
/// outside of [0, size) is put in again until one inside comes out (cycle walking), which takes
/// less than two rounds on average. Its halves may be unequal, so that the domain is never more
/// than twice too large.
class Permutation {
 public:
  /// The order `stream` of seed `seed`; size >= 1.
  Permutation(int64_t size, uint64_t seed, uint64_t stream);

  /// The element at place `i`, both in [0, size).
  int64_t at(int64_t i) const;

 private:
  static constexpr size_t kRounds = 6;

  uint64_t Encrypt(uint64_t value) const;

  uint64_t size_;
  int low_bits_;   // of the domain's bits
  int high_bits_;  // low_bits_ or one more
  std::array<uint64_t, kRounds> keys_;
};

}  // namespace lockstep::rank

#endif  // LOCKSTEP_RUNTIME_RANK_SAMPLER_PERMUTATION_H_
