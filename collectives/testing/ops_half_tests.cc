// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Of the contract of each op (ops_contract.h): how often f16 and bf16 are rounded on their way.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "collectives/group.h"
#include "collectives/testing/ops_contract.h"
#include "collectives/testing/ops_data.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives::testing {
namespace {

using base::GroupRank;

/// Those of MPI combine pair by pair, NCCL's as it likes.
bool RoundsAsItLikes(const Group& group) {
  return group.info().backend == "mpi" || group.info().backend == "nccl";
}

/// To nearest even; of numbers that are not tiny.
double Round(Dtype dtype, double value) {
  const int bits = dtype == Dtype::kF16 ? 11 : 8;
  int exponent = 0;
  const double mantissa = std::frexp(value, &exponent);
  // Beside 1.5 x 2^52 a double has no fraction, so that the sum rounds; nearbyint is an indirect
  // function of glibc, which programs that are linked partly statically cannot have out of libm.a.
  constexpr double kNoFraction = 0x1.8p52;
  const double units = std::ldexp(mantissa, bits) + kNoFraction - kNoFraction;
  const double rounded = std::ldexp(units, exponent - bits);
  return dtype == Dtype::kF16 && std::abs(rounded) > 65504 ? std::copysign(HUGE_VAL, value)
                                                           : rounded;
}

struct Reducing {
  Dtype dtype;
  Reduction reduction;

  /// Of `rank`; exact in 16 bits. A sum of the large one and one of the others lies half way
  /// between two values, so that in steps they are lost one by one; so are products' last bits.
  double Input(int rank, int size, size_t i) const {
    const double ulp = dtype == Dtype::kF16 ? 0x1p-10 : 0x1p-7;
    const size_t turn = (static_cast<size_t>(rank) + i) % static_cast<size_t>(size);
    if (reduction == Reduction::kProduct)
      return 1 + ulp * static_cast<double>(1 + (turn + i / 7) % 5);
    if (turn == 0) return (i % 4 == 3 ? -2 : 2) / ulp;
    return i % 4 == 3 ? -1 : 1 + static_cast<double>(i / 5 % 2) / 2;
  }
  double Scale(int rank) const {
    return reduction == Reduction::kPremultipliedSum ? 1 + 0.5 * (rank % 2) : 1;
  }
};

constexpr Reducing kReductions[] = {
    {Dtype::kF16, Reduction::kSum},
    {Dtype::kBf16, Reduction::kSum},
    {Dtype::kF16, Reduction::kAverage},
    {Dtype::kBf16, Reduction::kAverage},
    {Dtype::kF16, Reduction::kProduct},
    {Dtype::kBf16, Reduction::kProduct},
    {Dtype::kF16, Reduction::kPremultipliedSum},
    {Dtype::kBf16, Reduction::kPremultipliedSum},
};

double Combined(Reduction reduction, const std::vector<double>& values) {
  if (reduction == Reduction::kProduct)
    return std::accumulate(values.begin(), values.end(), 1.0, std::multiplies<>());
  const double sum = std::accumulate(values.begin(), values.end(), 0.0);
  return reduction == Reduction::kAverage ? sum / static_cast<double>(values.size()) : sum;
}

/// What element `i` may come out as: one or the other where ranks are on several machines.
class Expectation {
 public:
  Expectation(const Reducing& reducing, int size, std::vector<int> machines)
      : reducing_(reducing), size_(size), machines_(std::move(machines)) {}

  std::vector<double> At(size_t i) const {
    std::vector<double> allowed;
    AddRounded(AtOnce(i), allowed);
    if (!machines_.empty()) AddRounded(ByMachine(i), allowed);
    return allowed;
  }

 private:
  double AtOnce(size_t i) const {
    std::vector<double> values;
    for (int rank = 0; rank < size_; ++rank) values.push_back(Scaled(rank, i));
    return Combined(reducing_.reduction, values);
  }
  double Scaled(int rank, size_t i) const {
    return reducing_.Input(rank, size_, i) * reducing_.Scale(rank);
  }
  /// Rounded within each machine first; what averages are divided by there makes no difference.
  double ByMachine(size_t i) const {
    const bool average = reducing_.reduction == Reduction::kAverage;
    const Reduction reduction = average ? Reduction::kSum : reducing_.reduction;
    std::vector<double> parts;
    const int last = *std::max_element(machines_.begin(), machines_.end());
    for (int machine = 0; machine <= last; ++machine) {
      std::vector<double> values;
      for (int rank = 0; rank < size_; ++rank) {
        if (machines_[static_cast<size_t>(rank)] == machine) values.push_back(Scaled(rank, i));
      }
      parts.push_back(Round(reducing_.dtype, Combined(reduction, values)));
    }
    return Combined(reduction, parts) / (average ? size_ : 1);
  }
  /// Also with what f32 adds to that, which may make the difference half way between two values.
  void AddRounded(double exact, std::vector<double>& to) const {
    for (const double off : {0.0, -1e-6, 1e-6})
      to.push_back(Round(reducing_.dtype, exact * (1 + off)));
  }

  const Reducing reducing_;
  const int size_;
  const std::vector<int> machines_;
};

/// Data of a Reducing, computed once for its period.
class Half {
 public:
  Half(Group& group, const Reducing& reducing)
      : scale_(reducing.Scale(group.rank().value())),
        period_(std::lcm(static_cast<size_t>(group.size()), size_t{140})) {
    const Expectation expectation(reducing, group.size(), OpsContractTest::machines());
    for (size_t i = 0; i < period_; ++i) {
      std::byte cell[2];
      Store(reducing.dtype, cell, reducing.Input(group.rank().value(), group.size(), i));
      inputs_.insert(inputs_.end(), cell, cell + 2);
      allowed_.push_back(expectation.At(i));
    }
  }

  OpOptions options() const { return {.scale = scale_}; }
  void Fill(Buffer buffer) const {
    auto* const data = static_cast<std::byte*>(buffer.data);
    for (size_t i = 0; i < 2 * buffer.count; i += inputs_.size())
      std::memcpy(data + i, inputs_.data(), std::min(inputs_.size(), 2 * buffer.count - i));
  }
  /// `first`: the index that its first element has in whole inputs.
  void Expect(Buffer buffer, size_t first, const char* what) const {
    const auto* const data = static_cast<const std::byte*>(buffer.data);
    for (size_t begin = 0; begin < buffer.count; begin += period_) {
      const size_t count = std::min(period_, buffer.count - begin);
      // What equals the period before it is as right, and found so far faster.
      if (begin > 0 && std::memcmp(data + 2 * begin, data + 2 * (begin - period_), 2 * count) == 0)
        continue;
      for (size_t i = begin; i < begin + count; ++i) {
        const double got = Load(buffer.dtype, data + 2 * i);
        const std::vector<double>& allowed = allowed_[(first + i) % period_];
        ASSERT_TRUE(std::find(allowed.begin(), allowed.end(), got) != allowed.end())
            << what << ": element " << i << " of " << buffer.count << " is " << got
            << " instead of " << ::testing::PrintToString(allowed);
      }
    }
  }

 private:
  const double scale_;
  const size_t period_;  // elements
  std::vector<std::byte> inputs_;
  std::vector<std::vector<double>> allowed_;
};

template <class Body>
void ForEachHalf(Group& group, const Body& body) {
  for (const Reducing& reducing : kReductions) {
    if (!group.CanReduce(reducing.dtype, reducing.reduction)) continue;
    SCOPED_TRACE(std::string(DtypeName(reducing.dtype)) + " " +
                 std::string(ReductionName(reducing.reduction)));
    body(reducing.dtype, reducing.reduction, Half(group, reducing));
  }
}

// Small; carried between machines; beyond that; in several slices and windows of each member. None
// divisible by 3 or 4.
constexpr size_t kSome = 5;
constexpr size_t kMore = 2053;
constexpr size_t kMany = 70'001;
constexpr size_t kVeryMany = 2'000'003;  // of one kind
bool IsBf16Sum(Dtype dtype, Reduction reduction) {
  return dtype == Dtype::kBf16 && reduction == Reduction::kSum;
}

TEST_P(OpsContractTest, AllReduceRoundsSixteenBitsOnce) {
  Run([](Group& group) {
    if (RoundsAsItLikes(group)) return;
    ForEachHalf(group, [&](Dtype dtype, Reduction reduction, const Half& half) {
      for (const size_t count : {kSome, kMore, kMany, kVeryMany}) {
        if (count == kVeryMany && !IsBf16Sum(dtype, reduction)) continue;
        Guarded in(count, dtype), out(count, dtype);
        half.Fill(in.buffer());
        ASSERT_OK(group.AllReduce(in.buffer(), out.buffer(), reduction, half.options())->Wait());
        half.Expect(out.buffer(), 0, "out of place");
        ASSERT_OK(group.AllReduce(in.buffer(), in.buffer(), reduction, half.options())->Wait());
        half.Expect(in.buffer(), 0, "in place");
        ASSERT_TRUE(in.intact() && out.intact());
      }
    });
  });
}

TEST_P(OpsContractTest, ReduceRoundsSixteenBitsOnceOnEachRoot) {
  Run([](Group& group) {
    if (RoundsAsItLikes(group)) return;
    ForEachHalf(group, [&](Dtype dtype, Reduction reduction, const Half& half) {
      for (int root = 0; root < group.size(); ++root) {
        for (const size_t count : {kSome, kMore, kMany, kVeryMany}) {
          if (count == kVeryMany && (!IsBf16Sum(dtype, reduction) || root > 1)) continue;
          const bool is_root = root == group.rank().value();
          Guarded in(count, dtype), untouched(count, dtype), out(count, dtype);
          half.Fill(in.buffer());
          half.Fill(untouched.buffer());
          ASSERT_OK(group
                        .Reduce(in.buffer(), is_root ? out.buffer() : Buffer{}, reduction,
                                GroupRank(root), half.options())
                        ->Wait());
          if (is_root) half.Expect(out.buffer(), 0, "out of place");
          ASSERT_OK(
              group.Reduce(in.buffer(), in.buffer(), reduction, GroupRank(root), half.options())
                  ->Wait());
          if (is_root) {
            half.Expect(in.buffer(), 0, "in place");
          } else {
            EXPECT_EQ(std::memcmp(in.data(), untouched.data(), in.size()), 0) << "elsewhere";
          }
          ASSERT_TRUE(in.intact() && out.intact());
        }
      }
    });
  });
}

TEST_P(OpsContractTest, ReduceScatterRoundsSixteenBitsOnce) {
  Run([](Group& group) {
    if (RoundsAsItLikes(group)) return;
    ForEachHalf(group, [&](Dtype dtype, Reduction reduction, const Half& half) {
      for (const size_t count : {kSome, kMore, kMany}) {
        const size_t first = IndexOf(group) * count;
        Guarded in(count * SizeOf(group), dtype), out(count, dtype);
        half.Fill(in.buffer());
        ASSERT_OK(
            group.ReduceScatter(in.buffer(), out.buffer(), reduction, half.options())->Wait());
        half.Expect(out.buffer(), first, "out of place");
        const Buffer own = in.part(first, count);
        ASSERT_OK(group.ReduceScatter(in.buffer(), own, reduction, half.options())->Wait());
        half.Expect(own, first, "in place");
        ASSERT_TRUE(in.intact() && out.intact());
      }
    });
  });
}

TEST_P(OpsContractTest, ReduceScatterVRoundsSixteenBitsOnce) {
  Run([](Group& group) {
    if (RoundsAsItLikes(group)) return;
    ForEachHalf(group, [&](Dtype dtype, Reduction reduction, const Half& half) {
      for (const size_t count : {kSome, kMore, kMany}) {
        const std::vector<size_t> parts = PartsOf(count, group.size());  // some are empty
        const size_t first = Before(parts, IndexOf(group)), own_count = parts[IndexOf(group)];
        Guarded in(Before(parts, parts.size()), dtype), out(own_count, dtype);
        half.Fill(in.buffer());
        ASSERT_OK(group.ReduceScatterV(in.buffer(), out.buffer(), parts, reduction, half.options())
                      ->Wait());
        half.Expect(out.buffer(), first, "out of place");
        const Buffer own = in.part(first, own_count);
        ASSERT_OK(group.ReduceScatterV(in.buffer(), own, parts, reduction, half.options())->Wait());
        half.Expect(own, first, "in place");
        ASSERT_TRUE(in.intact() && out.intact());
      }
    });
  });
}

/// In f16, of the same on all members.
void ExpectAverageOfEqual(Group& group, double each_input) {
  for (const size_t count : {kSome, kMore, kMany}) {
    Guarded in(count, Dtype::kF16), out(count, Dtype::kF16), part(count, Dtype::kF16);
    for (size_t i = 0; i < count; ++i) Store(Dtype::kF16, in.data() + 2 * i, each_input);
    const auto value = [=](size_t) { return each_input; };

    ASSERT_OK(group.AllReduce(in.buffer(), out.buffer(), Reduction::kAverage)->Wait());
    ExpectElements(out.buffer(), value, "all_reduce");
    const GroupRank root(group.size() - 1);
    ASSERT_OK(group.Reduce(in.buffer(), part.buffer(), Reduction::kAverage, root)->Wait());
    if (group.rank() == root) ExpectElements(part.buffer(), value, "reduce");
    const size_t each = count / SizeOf(group);
    const Buffer own = part.part(0, each);
    ASSERT_OK(
        group.ReduceScatter(in.part(0, each * SizeOf(group)), own, Reduction::kAverage)->Wait());
    ExpectElements(own, value, "reduce_scatter");
  }
}

// The sums are beyond what f16 has.
TEST_P(OpsContractTest, AnAverageOfLargeSixteenBitsIsFinite) {
  Run([](Group& group) {
    if (!RoundsAsItLikes(group)) ExpectAverageOfEqual(group, 60'000);
  });
}

// Scaled before they are added up, as a sum would not overflow either, they had fewer bits.
TEST_P(OpsContractTest, AnAverageOfSmallSixteenBitsKeepsItsBits) {
  Run([](Group& group) {
    if (RoundsAsItLikes(group)) return;
    ExpectAverageOfEqual(group, 0x1p-14 * (1 + 0x1p-10));  // of the least that are normal
    ExpectAverageOfEqual(group, 0x1p-24 * 3);              // subnormal
  });
}

}  // namespace
}  // namespace lockstep::collectives::testing
