// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/rank/sampler/permutation.h"

#include <bit>
#include <cstddef>

#include "runtime/base/check.h"
#include "runtime/base/random.h"

namespace lockstep::rank {
namespace {

uint64_t Mask(int bits) { return (uint64_t{1} << bits) - 1; }

/// Mixes every bit of `value` into every bit. Source: the finalizer of splitmix64.
uint64_t Mix(uint64_t value) { return base::Random(value).Next(); }

}  // namespace

Permutation::Permutation(int64_t size, uint64_t seed, uint64_t stream)
    : size_(static_cast<uint64_t>(size)) {
  LOCKSTEP_CHECK(size >= 1, "an order of nothing");
  const int bits = static_cast<int>(std::bit_width(size_ - 1));
  low_bits_ = bits / 2;
  high_bits_ = bits - low_bits_;
  base::Random keys(Mix(seed) ^ stream);
  for (uint64_t& key : keys_) key = keys.Next();
}

int64_t Permutation::at(int64_t i) const {
  uint64_t value = static_cast<uint64_t>(i);
  LOCKSTEP_CHECK(value < size_, "a place outside of the order");
  do {
    value = Encrypt(value);
  } while (value >= size_);
  return static_cast<int64_t>(value);
}

/// Each round changes one half by a function of the other, so each can be undone: a permutation.
uint64_t Permutation::Encrypt(uint64_t value) const {
  uint64_t low = value & Mask(low_bits_);
  uint64_t high = value >> low_bits_;
  for (size_t round = 0; round < kRounds; round += 2) {
    low ^= Mix(high ^ keys_[round]) & Mask(low_bits_);
    high ^= Mix(low ^ keys_[round + 1]) & Mask(high_bits_);
  }
  return high << low_bits_ | low;
}

}  // namespace lockstep::rank
