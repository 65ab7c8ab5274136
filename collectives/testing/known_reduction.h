// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_TESTING_KNOWN_REDUCTION_H_
#define LOCKSTEP_COLLECTIVES_TESTING_KNOWN_REDUCTION_H_

#include <cstddef>
#include <vector>

#include "collectives/group.h"

namespace lockstep::collectives::testing {

/// Inputs of one reduction over the ranks of a group, and what must come out, to the bit with
/// integers. They tell apart what is easily mistaken for each other: zeros, numbers below zero, the
/// upper half of unsigned ones, all bits of wide ones; bools of which some elements are true on all
/// ranks, some on none, and most on a few. Sums of integers wrap around; those of averages do not.
/// Floats are small whole numbers, and minima and maxima halves and quarters too: exact in every
/// dtype, whatever the order. For the rank's own thread.
class KnownReduction {
 public:
  KnownReduction(const Group& group, Dtype dtype, Reduction reduction);

  /// With a scale of this rank's own for kPremultipliedSum.
  OpOptions options() const;
  /// With the whole input of this rank.
  void Fill(Buffer buffer) const;
  /// That `buffer` holds the result from element `first` on.
  void Expect(Buffer buffer, size_t first, const char* what) const;

 private:
  // No size of a window, a part or a vector is a multiple of it.
  static constexpr size_t kPeriod = 509;

  void Make();
  template <class T>
  void MakeIntegers();
  void MakeBools();
  void MakeFloats();
  double Scale(int rank) const;

  const Dtype dtype_;
  const Reduction reduction_;
  const int size_;
  const int rank_;
  std::vector<std::byte> input_;     // of a period
  std::vector<std::byte> expected_;  // of integers
  std::vector<double> floats_;       // expected
};

}  // namespace lockstep::collectives::testing

#endif  // LOCKSTEP_COLLECTIVES_TESTING_KNOWN_REDUCTION_H_
