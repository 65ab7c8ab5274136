// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/testing/ops_data.h"

#include <bit>
#include <numeric>

#include "collectives/testing/float8.h"

namespace lockstep::collectives::testing {

int64_t InputOf(int rank, size_t i) {
  return 1 + static_cast<int64_t>((i * 7 + static_cast<size_t>(rank) * 3) % 4);
}

bool IsFloat(Dtype dtype) {
  return dtype == Dtype::kF16 || dtype == Dtype::kBf16 || dtype == Dtype::kF32 ||
         dtype == Dtype::kF64 || IsFloat8(dtype);
}

void Store(Dtype dtype, std::byte* at, double value) {
  const auto whole =
      std::isnan(value) ? 0 : static_cast<int64_t>(value);  // wraps around in what is narrower
  const auto put = [at](auto typed) { std::memcpy(at, &typed, sizeof typed); };
  switch (dtype) {
    case Dtype::kBool: return put(static_cast<uint8_t>(value != 0));
    case Dtype::kU8: return put(static_cast<uint8_t>(whole));
    case Dtype::kI8: return put(static_cast<int8_t>(whole));
    case Dtype::kI16: return put(static_cast<int16_t>(whole));
    case Dtype::kI32: return put(static_cast<int32_t>(whole));
    case Dtype::kI64: return put(whole);
    case Dtype::kU32: return put(static_cast<uint32_t>(whole));
    case Dtype::kU64: return put(static_cast<uint64_t>(whole));
    case Dtype::kBf16:
      return put(static_cast<uint16_t>(std::bit_cast<uint32_t>(static_cast<float>(value)) >> 16));
    case Dtype::kF16: {  // small numbers of few bits only
      if (value == 0) return put(uint16_t{0});
      if (std::isnan(value)) return put(uint16_t{0x7e00});
      int exponent = 0;
      const double mantissa = std::frexp(std::abs(value), &exponent);  // in [0.5, 1)
      const uint16_t sign = value < 0 ? 0x8000 : 0;
      if (exponent < -13)  // subnormal
        return put(static_cast<uint16_t>(sign | static_cast<int>(std::abs(value) * 0x1p24)));
      const auto bits = static_cast<uint16_t>((exponent + 14) << 10 |
                                              static_cast<int>((mantissa * 2 - 1) * 1024));
      return put(static_cast<uint16_t>(sign | bits));
    }
    case Dtype::kF32: return put(static_cast<float>(value));
    case Dtype::kF64: return put(value);
    case Dtype::kF8E4m3:
    case Dtype::kF8E5m2: return put(StoreFloat8(dtype, value));
  }
}

double Load(Dtype dtype, const std::byte* at) {
  const auto get = [at]<class T>(T typed) {
    std::memcpy(&typed, at, sizeof typed);
    return typed;
  };
  switch (dtype) {
    case Dtype::kBool:
    case Dtype::kU8: return get(uint8_t{});
    case Dtype::kI8: return get(int8_t{});
    case Dtype::kI16: return get(int16_t{});
    case Dtype::kI32: return get(int32_t{});
    case Dtype::kI64: return static_cast<double>(get(int64_t{}));
    case Dtype::kU32: return get(uint32_t{});
    case Dtype::kU64: return static_cast<double>(get(uint64_t{}));
    case Dtype::kBf16: return std::bit_cast<float>(static_cast<uint32_t>(get(uint16_t{})) << 16);
    case Dtype::kF16: {
      const uint16_t bits = get(uint16_t{});
      const int exponent = bits >> 10 & 31;
      const double mantissa = (bits & 1023) / 1024.0;
      if (exponent == 31 && mantissa != 0) return NAN;
      const double value =
          exponent == 0 ? std::ldexp(mantissa, -14) : std::ldexp(1 + mantissa, exponent - 15);
      return (bits & 0x8000) != 0 ? -value : value;
    }
    case Dtype::kF32: return get(float{});
    case Dtype::kF64: return get(double{});
    case Dtype::kF8E4m3:
    case Dtype::kF8E5m2: return LoadFloat8(dtype, get(uint8_t{}));
  }
  ADD_FAILURE() << "no dtype";
  return 0;
}

void Fill(Buffer buffer, int rank, size_t first) {
  for (size_t i = 0; i < buffer.count; ++i) {
    Store(buffer.dtype, static_cast<std::byte*>(buffer.data) + i * DtypeBytes(buffer.dtype),
          static_cast<double>(InputOf(rank, first + i)));
  }
}

double SumOf(int size, size_t i) {
  int64_t sum = 0;
  for (int rank = 0; rank < size; ++rank) sum += InputOf(rank, i);
  return static_cast<double>(sum);
}

bool Lacks(const Group& group, OpKind kind) { return !group.capabilities().Has(kind); }

std::vector<Dtype> Dtypes(const Group& group) {
  std::vector<Dtype> dtypes;
  for (uint8_t value = 1; value < kDtypeLimit; ++value) {
    const auto dtype = static_cast<Dtype>(value);
    if (group.capabilities().Has(dtype)) dtypes.push_back(dtype);
  }
  return dtypes;
}

size_t IndexOf(const Group& group) { return static_cast<size_t>(group.rank().value()); }
size_t SizeOf(const Group& group) { return static_cast<size_t>(group.size()); }

std::vector<size_t> PartsOf(size_t count, int size) {
  std::vector<size_t> parts(static_cast<size_t>(size));
  for (size_t r = 0; r < parts.size(); ++r) parts[r] = r % 3 == 1 ? 0 : count / (r + 1);
  return parts;
}
size_t Before(std::span<const size_t> parts, size_t index) {
  return std::accumulate(parts.begin(), parts.begin() + static_cast<ptrdiff_t>(index), size_t{0});
}

}  // namespace lockstep::collectives::testing
