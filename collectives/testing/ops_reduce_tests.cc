// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Of the contract of each op (ops_contract.h): ops that reduce.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "collectives/group.h"
#include "collectives/testing/known_reduction.h"
#include "collectives/testing/ops_contract.h"
#include "collectives/testing/ops_data.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives::testing {
namespace {

using base::GroupRank;

/// `body` with every reduction of some dtypes.
template <class Body>
void ForEachReduction(const Group& group, const Body& body) {
  for (const Dtype dtype : {Dtype::kI32, Dtype::kU8, Dtype::kBf16, Dtype::kF32, Dtype::kF8E4m3}) {
    for (uint8_t value = 1; value < kReductionLimit; ++value) {
      const auto reduction = static_cast<Reduction>(value);
      if (!group.CanReduce(dtype, reduction)) continue;
      SCOPED_TRACE(std::string(DtypeName(dtype)) + " " + std::string(ReductionName(reduction)));
      body(dtype, reduction, KnownReduction(group, dtype, reduction));
    }
  }
}

// Averages and premultiplied sums are code of each op's own: small, in one piece, in several.
constexpr size_t kReductionCounts[] = {5, 2053, 40'009};

TEST_P(OpsContractTest, ReduceWithEveryReduction) {
  Run([](Group& group) {
    if (Lacks(group, OpKind::kReduce)) return;
    const GroupRank root(group.size() - 1);
    ForEachReduction(group, [&](Dtype dtype, Reduction reduction, const KnownReduction& known) {
      for (const size_t count : kReductionCounts) {
        Guarded in(count, dtype), out(count, dtype);
        known.Fill(in.buffer());
        ASSERT_OK(
            group.Reduce(in.buffer(), out.buffer(), reduction, root, known.options())->Wait());
        if (group.rank() == root) known.Expect(out.buffer(), 0, "reduce");
        ASSERT_TRUE(in.intact() && out.intact());
      }
    });
  });
}

TEST_P(OpsContractTest, ReduceScatterWithEveryReduction) {
  Run([](Group& group) {
    if (Lacks(group, OpKind::kReduceScatter)) return;
    ForEachReduction(group, [&](Dtype dtype, Reduction reduction, const KnownReduction& known) {
      for (const size_t count : kReductionCounts) {
        Guarded in(count * SizeOf(group), dtype), out(count, dtype);
        known.Fill(in.buffer());
        ASSERT_OK(
            group.ReduceScatter(in.buffer(), out.buffer(), reduction, known.options())->Wait());
        known.Expect(out.buffer(), IndexOf(group) * count, "reduce_scatter");
        ASSERT_TRUE(in.intact() && out.intact());
      }
    });
  });
}

TEST_P(OpsContractTest, ReduceScatterVWithEveryReduction) {
  Run([](Group& group) {
    if (Lacks(group, OpKind::kReduceScatterV)) return;
    ForEachReduction(group, [&](Dtype dtype, Reduction reduction, const KnownReduction& known) {
      for (const size_t count : kReductionCounts) {
        const auto parts = PartsOf(count, group.size());
        Guarded in(Before(parts, parts.size()), dtype), out(parts[IndexOf(group)], dtype);
        known.Fill(in.buffer());
        ASSERT_OK(
            group.ReduceScatterV(in.buffer(), out.buffer(), parts, reduction, known.options())
                ->Wait());
        known.Expect(out.buffer(), Before(parts, IndexOf(group)), "reduce_scatter_v");
        ASSERT_TRUE(in.intact() && out.intact());
      }
    });
  });
}

TEST_P(OpsContractTest, AllReduceOfEveryDtypeWithEveryReduction) {
  Run([](Group& group) {
    for (const Dtype dtype : Dtypes(group)) {
      for (uint8_t value = 1; value < kReductionLimit; ++value) {
        const auto reduction = static_cast<Reduction>(value);
        if (!group.CanReduce(dtype, reduction)) continue;
        const KnownReduction known(group, dtype, reduction);
        for (const size_t count : {size_t{5}, size_t{70'001}}) {
          SCOPED_TRACE(std::string(DtypeName(dtype)) + " " + std::string(ReductionName(reduction)));
          Guarded in(count, dtype), out(count, dtype);
          known.Fill(in.buffer());
          ASSERT_OK(group.AllReduce(in.buffer(), out.buffer(), reduction, known.options())->Wait());
          known.Expect(out.buffer(), 0, "out of place");
          ASSERT_OK(group.AllReduce(in.buffer(), in.buffer(), reduction, known.options())->Wait());
          known.Expect(in.buffer(), 0, "in place");
          ASSERT_TRUE(in.intact() && out.intact());
        }
      }
    }
  });
}

// Elements without one, with one, and with one on every rank; it once showed where it was that of
// the rank which an algorithm began with. What NCCL does is its own affair.
TEST_P(OpsContractTest, ANanOfAnyRankIsTheLeastAndTheGreatest) {
  Run([](Group& group) {
    if (group.info().backend == "nccl") return;
    for (const Dtype dtype : {Dtype::kF16, Dtype::kBf16, Dtype::kF32, Dtype::kF64}) {
      for (const Reduction reduction : {Reduction::kMin, Reduction::kMax}) {
        if (!group.CanReduce(dtype, reduction)) continue;
        const size_t turns = SizeOf(group) + 2;
        for (const size_t count : {size_t{1}, size_t{64}, size_t{40'009}}) {
          SCOPED_TRACE(std::string(DtypeName(dtype)) + " " + std::string(ReductionName(reduction)));
          Guarded data(count, dtype);
          for (size_t i = 0; i < count; ++i) {
            const bool nan = i % turns == IndexOf(group) || i % turns == SizeOf(group);
            std::byte* const to = data.data() + i * DtypeBytes(dtype);
            Store(dtype, to, nan ? NAN : 1);
          }
          ASSERT_OK(group.AllReduce(data.buffer(), data.buffer(), reduction)->Wait());
          for (size_t i = 0; i < count; ++i) {
            const double value = Load(dtype, data.data() + i * DtypeBytes(dtype));
            ASSERT_TRUE(i % turns == SizeOf(group) + 1 ? value == 1 : std::isnan(value))
                << "element " << i << " of " << count << " is " << value;
          }
        }
      }
    }
  });
}

// And the sum wraps around first.
TEST_P(OpsContractTest, AnAverageOfIntegersTruncatesTowardsZero) {
  Run([](Group& group) {
    if (group.info().backend == "nccl") return;
    for (const size_t count : {size_t{3}, size_t{40'009}}) {
      const int n = group.size();
      Guarded odd(count, Dtype::kI32), large(count, Dtype::kU8);
      for (size_t i = 0; i < count; ++i) {
        Store(Dtype::kI32, odd.data() + i * 4, group.rank().value() == 0 ? 1 - 2 * n : 0);
        Store(Dtype::kU8, large.data() + i, 200);
      }
      ASSERT_OK(group.AllReduce(odd.buffer(), odd.buffer(), Reduction::kAverage)->Wait());
      ASSERT_OK(group.AllReduce(large.buffer(), large.buffer(), Reduction::kAverage)->Wait());
      ExpectElements(odd.buffer(), [](size_t) { return -1; }, "-(2 - 1/n)");
      ExpectElements(large.buffer(), [n](size_t) { return n * 200 % 256 / n; }, "200 on all");
    }
  });
}

TEST_P(OpsContractTest, AllReduceOfEverySize) {
  Run([](Group& group) {
    for (const size_t count : kCounts) {
      Guarded in(count, Dtype::kF32), out(count, Dtype::kF32);
      Fill(in.buffer(), group.rank().value());
      ASSERT_OK(group.AllReduce(in.buffer(), out.buffer(), Reduction::kSum)->Wait());
      ExpectElements(out.buffer(), [&](size_t i) { return SumOf(group.size(), i); }, "sum");
      ASSERT_TRUE(in.intact() && out.intact());
    }
  });
}

TEST_P(OpsContractTest, ReduceLeavesTheResultOnTheRootAlone) {
  Run([](Group& group) {
    if (Lacks(group, OpKind::kReduce)) return;
    for (int root = 0; root < group.size(); ++root) {
      for (const size_t count : kCounts) {
        const bool is_root = root == group.rank().value();
        Guarded in(count, Dtype::kI32), out(count, Dtype::kI32);
        Fill(in.buffer(), group.rank().value());
        const Buffer to = is_root ? out.buffer() : Buffer{};
        ASSERT_OK(group.Reduce(in.buffer(), to, Reduction::kSum, GroupRank(root))->Wait());
        const auto sum = [&](size_t i) { return SumOf(group.size(), i); };
        if (is_root) ExpectElements(out.buffer(), sum, "on the root");
        ASSERT_OK(group.Reduce(in.buffer(), in.buffer(), Reduction::kSum, GroupRank(root))->Wait());
        const auto own = [&](size_t i) {
          return static_cast<double>(InputOf(group.rank().value(), i));
        };
        if (is_root) {
          ExpectElements(in.buffer(), sum, "in place on the root");
        } else {
          ExpectElements(in.buffer(), own, "untouched elsewhere");
        }
        ASSERT_TRUE(in.intact() && out.intact());
      }
    }
  });
}

TEST_P(OpsContractTest, ReduceScatterGivesEachItsPart) {
  Run([](Group& group) {
    if (Lacks(group, OpKind::kReduceScatter)) return;
    for (const size_t count : kCounts) {
      Guarded in(count * SizeOf(group), Dtype::kF32), out(count, Dtype::kF32);
      Fill(in.buffer(), group.rank().value());
      const auto expected = [&](size_t i) {
        return SumOf(group.size(), IndexOf(group) * count + i);
      };
      ASSERT_OK(group.ReduceScatter(in.buffer(), out.buffer(), Reduction::kSum)->Wait());
      ExpectElements(out.buffer(), expected, "out of place");
      const Buffer own = in.part(IndexOf(group) * count, count);
      ASSERT_OK(group.ReduceScatter(in.buffer(), own, Reduction::kSum)->Wait());
      ExpectElements(own, expected, "in place");
      ASSERT_TRUE(in.intact() && out.intact());
    }
  });
}

TEST_P(OpsContractTest, ReduceScatterVGivesPartsOfDifferentSizes) {
  Run([](Group& group) {
    if (Lacks(group, OpKind::kReduceScatterV)) return;
    for (const size_t count : kCounts) {
      const auto parts = PartsOf(count, group.size());
      const size_t offset = Before(parts, IndexOf(group));
      Guarded in(Before(parts, parts.size()), Dtype::kI64), out(parts[IndexOf(group)], Dtype::kI64);
      const KnownReduction known(group, Dtype::kI64, Reduction::kMax);
      known.Fill(in.buffer());
      ASSERT_OK(group.ReduceScatterV(in.buffer(), out.buffer(), parts, Reduction::kMax)->Wait());
      known.Expect(out.buffer(), offset, "out of place");
      const Buffer own = in.part(offset, parts[IndexOf(group)]);
      ASSERT_OK(group.ReduceScatterV(in.buffer(), own, parts, Reduction::kMax)->Wait());
      known.Expect(own, offset, "in place");
      ASSERT_TRUE(in.intact() && out.intact());
    }
  });
}

}  // namespace
}  // namespace lockstep::collectives::testing
