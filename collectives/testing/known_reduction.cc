// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/testing/known_reduction.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "collectives/testing/combined.h"
#include "collectives/testing/ops_data.h"

namespace lockstep::collectives::testing {
namespace {

/// The finalizer of splitmix64: any bits, of each rank's own.
uint64_t BitsOf(int rank, size_t i) {
  uint64_t z = (i + 1) * 0x9e3779b97f4a7c15u + static_cast<uint64_t>(rank) * 0xd1342543de82ef95u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

template <class T>
T IntegerOf(Reduction reduction, int rank, int size, size_t i) {
  const uint64_t bits = BitsOf(rank, i);
  const auto small = static_cast<T>(static_cast<int>(bits % 7) - (std::is_signed_v<T> ? 3 : 0));
  switch (reduction) {
    case Reduction::kPremultipliedSum: return static_cast<T>(small / (std::is_signed_v<T> ? 1 : 2));
    // As large as leaves room for the sum of all.
    case Reduction::kAverage:
      return static_cast<T>(static_cast<T>(bits) >>
                            std::bit_width(static_cast<unsigned>(size) - 1));
    default: return i % 7 == 0 ? small : static_cast<T>(bits);
  }
}

bool BoolOf(int rank, size_t i) {
  const uint64_t bits = BitsOf(rank, i) & 15;
  return i % 3 == 0 ? bits != 0 : i % 3 == 1 ? bits == 0 : bits < 8;
}

bool CombinedBools(Reduction reduction, bool a, bool b) {
  switch (reduction) {
    case Reduction::kProduct:
    case Reduction::kMin:
    case Reduction::kBitAnd: return a && b;
    case Reduction::kBitXor: return a != b;
    default: return a || b;
  }
}

double FloatOf(Dtype dtype, Reduction reduction, int rank, size_t i) {
  const uint64_t bits = BitsOf(rank, i);
  const auto whole = [bits](int from, int to) {
    return from + static_cast<double>(bits % static_cast<uint64_t>(to - from + 1));
  };
  switch (reduction) {
    case Reduction::kProduct: {
      if (bits >> 32 & 15) return (bits & 1) == 0 ? whole(1, 2) : -whole(1, 2);
      return 0;
    }
    case Reduction::kMin:
    case Reduction::kMax: return std::ldexp(whole(-4, 4), static_cast<int>(bits >> 32 & 3) - 2);
    default: return DtypeBytes(dtype) == 1 ? whole(-1, 1) : whole(-3, 3);
  }
}

}  // namespace

KnownReduction::KnownReduction(const Group& group, Dtype dtype, Reduction reduction)
    : dtype_(dtype), reduction_(reduction), size_(group.size()), rank_(group.rank().value()) {
  input_.resize(kPeriod * DtypeBytes(dtype));
  expected_.resize(input_.size());
  Make();
}

void KnownReduction::Make() {
  switch (dtype_) {
    case Dtype::kBool: return MakeBools();
    case Dtype::kU8: return MakeIntegers<uint8_t>();
    case Dtype::kI8: return MakeIntegers<int8_t>();
    case Dtype::kI16: return MakeIntegers<int16_t>();
    case Dtype::kI32: return MakeIntegers<int32_t>();
    case Dtype::kI64: return MakeIntegers<int64_t>();
    case Dtype::kU32: return MakeIntegers<uint32_t>();
    case Dtype::kU64: return MakeIntegers<uint64_t>();
    default: return MakeFloats();
  }
}

double KnownReduction::Scale(int rank) const {
  return reduction_ == Reduction::kPremultipliedSum ? 1 + rank : 1;
}

OpOptions KnownReduction::options() const { return {.scale = Scale(rank_)}; }

template <class T>
void KnownReduction::MakeIntegers() {
  for (size_t i = 0; i < kPeriod; ++i) {
    T result = 0;
    for (int rank = 0; rank < size_; ++rank) {
      const T own = IntegerOf<T>(reduction_, rank, size_, i);
      if (rank == rank_) std::memcpy(input_.data() + i * sizeof own, &own, sizeof own);
      const T scaled = reduction_ == Reduction::kPremultipliedSum
                           ? static_cast<T>(own * static_cast<T>(Scale(rank)))
                           : own;
      result = rank == 0 ? scaled : Combined(reduction_, result, scaled);
    }
    if (reduction_ == Reduction::kAverage) result = static_cast<T>(result / static_cast<T>(size_));
    std::memcpy(expected_.data() + i * sizeof result, &result, sizeof result);
  }
}

void KnownReduction::MakeBools() {
  for (size_t i = 0; i < kPeriod; ++i) {
    bool result = BoolOf(0, i);
    for (int rank = 1; rank < size_; ++rank)
      result = CombinedBools(reduction_, result, BoolOf(rank, i));
    input_[i] = static_cast<std::byte>(BoolOf(rank_, i));
    expected_[i] = static_cast<std::byte>(result);
  }
}

void KnownReduction::MakeFloats() {
  for (size_t i = 0; i < kPeriod; ++i) {
    double result = FloatOf(dtype_, reduction_, 0, i);
    for (int rank = 1; rank < size_; ++rank) {
      const double next = FloatOf(dtype_, reduction_, rank, i) * Scale(rank);
      switch (reduction_) {
        case Reduction::kProduct: result *= next; break;
        case Reduction::kMin: result = std::min(result, next); break;
        case Reduction::kMax: result = std::max(result, next); break;
        default: result += next; break;
      }
    }
    if (reduction_ == Reduction::kAverage) result /= size_;
    Store(dtype_, input_.data() + i * DtypeBytes(dtype_), FloatOf(dtype_, reduction_, rank_, i));
    floats_.push_back(result);
  }
}

void KnownReduction::Fill(Buffer buffer) const {
  auto* const to = static_cast<std::byte*>(buffer.data);
  for (size_t at = 0; at < buffer.bytes(); at += input_.size())
    std::memcpy(to + at, input_.data(), std::min(input_.size(), buffer.bytes() - at));
}

void KnownReduction::Expect(Buffer buffer, size_t first, const char* what) const {
  if (IsFloat(dtype_)) {
    ExpectElements(buffer, [&](size_t i) { return floats_[(first + i) % kPeriod]; }, what);
    return;
  }
  const auto* const data = static_cast<const std::byte*>(buffer.data);
  const size_t width = DtypeBytes(dtype_);
  for (size_t i = 0; i < buffer.count; ++i) {
    const std::byte* const expected = expected_.data() + (first + i) % kPeriod * width;
    if (std::memcmp(data + i * width, expected, width) == 0) continue;
    FAIL() << what << ": element " << i << " of " << buffer.count << " " << DtypeName(dtype_)
           << " is " << Load(dtype_, data + i * width) << " instead of " << Load(dtype_, expected);
  }
}

}  // namespace lockstep::collectives::testing
