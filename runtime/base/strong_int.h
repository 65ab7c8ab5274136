// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_BASE_STRONG_INT_H_
#define LOCKSTEP_RUNTIME_BASE_STRONG_INT_H_

#include <compare>
#include <cstddef>
#include <functional>
#include <ostream>
#include <string>

namespace lockstep::base {

/// An integer that only mixes with its own kind, so that a rank is never passed where a local rank
/// is wanted. It compares, hashes, prints and counts up; for arithmetic take value(). Tag is any
/// type, never defined.
template <class Tag, class Int>
class StrongInt {
 public:
  using Value = Int;

  constexpr StrongInt() = default;
  constexpr explicit StrongInt(Int value) : value_(value) {}

  constexpr Int value() const { return value_; }
  constexpr StrongInt Next() const { return StrongInt(static_cast<Int>(value_ + 1)); }
  constexpr StrongInt& operator++() {
    ++value_;
    return *this;
  }
  std::string ToString() const { return std::to_string(value_); }

  friend constexpr auto operator<=>(StrongInt, StrongInt) = default;
  friend std::ostream& operator<<(std::ostream& out, StrongInt id) { return out << +id.value_; }

 private:
  Int value_ = 0;
};

}  // namespace lockstep::base

template <class Tag, class Int>
struct std::hash<lockstep::base::StrongInt<Tag, Int>> {
  size_t operator()(lockstep::base::StrongInt<Tag, Int> id) const {
    return std::hash<Int>()(id.value());
  }
};

#endif  // LOCKSTEP_RUNTIME_BASE_STRONG_INT_H_
