// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_TESTING_OPS_DATA_H_
#define LOCKSTEP_COLLECTIVES_TESTING_OPS_DATA_H_
// What the tests of ops_contract.h put into buffers, and expect there.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "collectives/group.h"
#include "collectives/testing/ops_contract.h"

namespace lockstep::collectives::testing {

// 0 and 1; inline; small; beyond small; several windows; none divisible by 3 or 8.
inline constexpr size_t kCounts[] = {0, 1, 11, 1000, 2053, 70'001, 300'007};
inline constexpr std::byte kGuard{0xa5};

/// The gang's memory with guards around it; in main memory at an odd address, which no GPU reduces
/// at.
class Guarded {
 public:
  Guarded(size_t count, Dtype dtype)
      : count_(count),
        dtype_(dtype),
        edge_(OpsContractTest::gang().device().kind == Device::Kind::kCpu ? 37 : 64),
        bytes_(OpsContractTest::gang().Allocate(size() + 2 * edge_)) {
    std::fill_n(bytes_.get(), size() + 2 * edge_, kGuard);
  }

  std::byte* data() { return bytes_.get() + edge_; }
  size_t size() const { return count_ * DtypeBytes(dtype_); }
  Buffer buffer() { return part(0, count_); }
  Buffer part(size_t offset, size_t count) {
    return {data() + offset * DtypeBytes(dtype_), count, dtype_, OpsContractTest::gang().device()};
  }
  bool intact() const {
    const auto is_guard = [](std::byte byte) { return byte == kGuard; };
    const std::byte* const end = bytes_.get() + edge_ + size();
    return std::all_of(bytes_.get(), bytes_.get() + edge_, is_guard) &&
           std::all_of(end, end + edge_, is_guard);
  }

 private:
  const size_t count_;
  const Dtype dtype_;
  const size_t edge_;
  const std::shared_ptr<std::byte> bytes_;
};

/// One element there.
template <class T>
class Cell {
 public:
  Cell(Dtype dtype, T value) : memory_(1, dtype) {
    std::memcpy(memory_.data(), &value, sizeof value);
  }
  Buffer buffer() { return memory_.buffer(); }
  T value() {
    T value;
    std::memcpy(&value, memory_.data(), sizeof value);
    return value;
  }

 private:
  Guarded memory_;
};

/// Element `i` of what `rank` puts in: integers that are exact in every dtype, and stay so.
int64_t InputOf(int rank, size_t i);
bool IsFloat(Dtype dtype);
/// One element, from and to what it means.
void Store(Dtype dtype, std::byte* at, double value);
double Load(Dtype dtype, const std::byte* at);
/// `first`: the index that the first element has in the whole input of `rank`.
void Fill(Buffer buffer, int rank, size_t first = 0);
/// Of element `i` over all ranks. (Other reductions: KnownReduction.)
double SumOf(int size, size_t i);

/// Every element of `buffer` equals expected(i), which a dtype of fewer bits rounds.
template <class Expected>
void ExpectElements(Buffer buffer, const Expected& expected, const char* what) {
  const auto* const data = static_cast<const std::byte*>(buffer.data);
  for (size_t i = 0; i < buffer.count; ++i) {
    const double value = Load(buffer.dtype, data + i * DtypeBytes(buffer.dtype));
    double wanted = expected(i);
    if (!IsFloat(buffer.dtype)) {  // as it comes out when it wraps around
      std::byte cell[8];
      Store(buffer.dtype, cell, wanted);
      wanted = Load(buffer.dtype, cell);
    }
    const double tolerance = buffer.dtype == Dtype::kBf16     ? std::abs(wanted) / 256
                             : buffer.dtype == Dtype::kF16    ? std::abs(wanted) / 2048
                             : buffer.dtype == Dtype::kF32    ? std::abs(wanted) * 1e-7
                             : buffer.dtype == Dtype::kF8E4m3 ? std::abs(wanted) / 16
                             : buffer.dtype == Dtype::kF8E5m2 ? std::abs(wanted) / 8
                                                              : 0;
    if (std::abs(value - wanted) <= tolerance) continue;  // far faster than a macro for each
    FAIL() << what << ": element " << i << " of " << buffer.count << " " << DtypeName(buffer.dtype)
           << " is " << value << " instead of " << wanted;
  }
}

bool Lacks(const Group& group, OpKind kind);
/// What the group moves.
std::vector<Dtype> Dtypes(const Group& group);
size_t IndexOf(const Group& group);
size_t SizeOf(const Group& group);

/// Parts of different sizes, some of them empty.
std::vector<size_t> PartsOf(size_t count, int size);
size_t Before(std::span<const size_t> parts, size_t index);

}  // namespace lockstep::collectives::testing

#endif  // LOCKSTEP_COLLECTIVES_TESTING_OPS_DATA_H_
