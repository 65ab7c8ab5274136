// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Of the contract of each op (ops_contract.h): ops that reduce.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "collectives/group.h"
#include "collectives/testing/ops_contract.h"
#include "collectives/testing/ops_data.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives::testing {
namespace {

using base::GroupRank;

/// `body` with every reduction of some dtypes, and with options that have a scale of this rank's
/// own.
template <class Body>
void ForEachReduction(const Group& group, const Body& body) {
  for (const Dtype dtype : {Dtype::kI32, Dtype::kBf16, Dtype::kF32, Dtype::kF8E4m3}) {
    for (uint8_t value = 1; value < kReductionLimit; ++value) {
      const auto reduction = static_cast<Reduction>(value);
      if (!group.CanReduce(dtype, reduction)) continue;
      SCOPED_TRACE(std::string(DtypeName(dtype)) + " " + std::string(ReductionName(reduction)));
      const double scale_step = reduction == Reduction::kPremultipliedSum ? 1 : 0;
      const auto expected = [&group, dtype, reduction, scale_step](size_t i) {
        return Reduced(dtype, reduction, group.size(), i, scale_step);
      };
      body(dtype, reduction, OpOptions{.scale = 1 + scale_step * group.rank().value()}, expected);
    }
  }
}

// Averages and premultiplied sums are code of each op's own: small, in one piece, in several.
constexpr size_t kReductionCounts[] = {5, 2053, 40'009};

TEST_P(OpsContractTest, ReduceWithEveryReduction) {
  Run([](Group& group) {
    if (Lacks(group, OpKind::kReduce)) return;
    const GroupRank root(group.size() - 1);
    ForEachReduction(group, [&](Dtype dtype, Reduction reduction, const OpOptions& options,
                                const auto& expected) {
      for (const size_t count : kReductionCounts) {
        Guarded in(count, dtype), out(count, dtype);
        Fill(in.buffer(), group.rank().value());
        ASSERT_OK(group.Reduce(in.buffer(), out.buffer(), reduction, root, options)->Wait());
        if (group.rank() == root) ExpectElements(out.buffer(), expected, "reduce");
        ASSERT_TRUE(in.intact() && out.intact());
      }
    });
  });
}

TEST_P(OpsContractTest, ReduceScatterWithEveryReduction) {
  Run([](Group& group) {
    if (Lacks(group, OpKind::kReduceScatter)) return;
    ForEachReduction(group, [&](Dtype dtype, Reduction reduction, const OpOptions& options,
                                const auto& expected) {
      for (const size_t count : kReductionCounts) {
        Guarded in(count * SizeOf(group), dtype), out(count, dtype);
        Fill(in.buffer(), group.rank().value());
        ASSERT_OK(group.ReduceScatter(in.buffer(), out.buffer(), reduction, options)->Wait());
        const size_t offset = IndexOf(group) * count;
        ExpectElements(
            out.buffer(), [&](size_t i) { return expected(offset + i); }, "reduce_scatter");
        ASSERT_TRUE(in.intact() && out.intact());
      }
    });
  });
}

TEST_P(OpsContractTest, ReduceScatterVWithEveryReduction) {
  Run([](Group& group) {
    if (Lacks(group, OpKind::kReduceScatterV)) return;
    ForEachReduction(group, [&](Dtype dtype, Reduction reduction, const OpOptions& options,
                                const auto& expected) {
      for (const size_t count : kReductionCounts) {
        const auto parts = PartsOf(count, group.size());
        const size_t offset = Before(parts, IndexOf(group));
        Guarded in(Before(parts, parts.size()), dtype), out(parts[IndexOf(group)], dtype);
        Fill(in.buffer(), group.rank().value());
        ASSERT_OK(
            group.ReduceScatterV(in.buffer(), out.buffer(), parts, reduction, options)->Wait());
        ExpectElements(
            out.buffer(), [&](size_t i) { return expected(offset + i); }, "reduce_scatter_v");
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
        for (const size_t count : {size_t{5}, size_t{70'001}}) {
          SCOPED_TRACE(std::string(DtypeName(dtype)) + " " + std::string(ReductionName(reduction)));
          Guarded in(count, dtype), out(count, dtype);
          Fill(in.buffer(), group.rank().value());
          const double scale_step = reduction == Reduction::kPremultipliedSum ? 1 : 0;
          const OpOptions options{.scale = 1 + scale_step * group.rank().value()};
          const auto expected = [&](size_t i) {
            return Reduced(dtype, reduction, group.size(), i, scale_step);
          };
          ASSERT_OK(group.AllReduce(in.buffer(), out.buffer(), reduction, options)->Wait());
          ExpectElements(out.buffer(), expected, "out of place");
          ASSERT_OK(group.AllReduce(in.buffer(), in.buffer(), reduction, options)->Wait());
          ExpectElements(in.buffer(), expected, "in place");
          ASSERT_TRUE(in.intact() && out.intact());
        }
      }
    }
  });
}

TEST_P(OpsContractTest, AllReduceOfEverySize) {
  Run([](Group& group) {
    for (const size_t count : kCounts) {
      Guarded in(count, Dtype::kF32), out(count, Dtype::kF32);
      Fill(in.buffer(), group.rank().value());
      ASSERT_OK(group.AllReduce(in.buffer(), out.buffer(), Reduction::kSum)->Wait());
      ExpectElements(
          out.buffer(),
          [&](size_t i) { return Reduced(Dtype::kF32, Reduction::kSum, group.size(), i); }, "sum");
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
        const auto sum = [&](size_t i) {
          return Reduced(Dtype::kI32, Reduction::kSum, group.size(), i);
        };
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
        return Reduced(Dtype::kF32, Reduction::kSum, group.size(), IndexOf(group) * count + i);
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
      Fill(in.buffer(), group.rank().value());
      const auto expected = [&](size_t i) {
        return Reduced(Dtype::kI64, Reduction::kMax, group.size(), offset + i);
      };
      ASSERT_OK(group.ReduceScatterV(in.buffer(), out.buffer(), parts, Reduction::kMax)->Wait());
      ExpectElements(out.buffer(), expected, "out of place");
      const Buffer own = in.part(offset, parts[IndexOf(group)]);
      ASSERT_OK(group.ReduceScatterV(in.buffer(), own, parts, Reduction::kMax)->Wait());
      ExpectElements(own, expected, "in place");
      ASSERT_TRUE(in.intact() && out.intact());
    }
  });
}

}  // namespace
}  // namespace lockstep::collectives::testing
