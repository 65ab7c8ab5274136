// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Of the contract of each op (ops_contract.h): ops that move.
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <vector>

#include "collectives/group.h"
#include "collectives/testing/ops_contract.h"
#include "collectives/testing/ops_data.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives::testing {
namespace {

using base::GroupRank;

TEST_P(OpsContractTest, BroadcastOfEveryDtypeFromEveryRoot) {
  Run([](Group& group) {
    for (const Dtype dtype : Dtypes(group)) {
      for (int root = 0; root < group.size(); ++root) {
        for (const size_t count : {size_t{0}, size_t{7}, size_t{70'001}}) {
          Guarded buffer(count, dtype);
          Fill(buffer.buffer(), group.rank().value());
          ASSERT_OK(group.Broadcast(buffer.buffer(), GroupRank(root))->Wait());
          Guarded expected(count, dtype);
          Fill(expected.buffer(), root);
          ASSERT_EQ(std::memcmp(buffer.data(), expected.data(), buffer.size()), 0);
          ASSERT_TRUE(buffer.intact());
        }
      }
    }
  });
}

TEST_P(OpsContractTest, AllGatherConcatenates) {
  Run([](Group& group) {
    for (const size_t count : kCounts) {
      Guarded in(count, Dtype::kI16), out(count * SizeOf(group), Dtype::kI16);
      Fill(in.buffer(), group.rank().value());
      const auto expected = [&](size_t i) {
        return static_cast<double>(InputOf(static_cast<int>(i / count), i % count));
      };
      ASSERT_OK(group.AllGather(in.buffer(), out.buffer())->Wait());
      ExpectElements(out.buffer(), expected, "out of place");
      Guarded in_place(count * SizeOf(group), Dtype::kI16);
      const Buffer own = in_place.part(IndexOf(group) * count, count);
      Fill(own, group.rank().value());
      ASSERT_OK(group.AllGather(own, in_place.buffer())->Wait());
      ExpectElements(in_place.buffer(), expected, "in place");
      ASSERT_TRUE(in.intact() && out.intact() && in_place.intact());
    }
  });
}

TEST_P(OpsContractTest, AllGatherVConcatenatesPartsOfDifferentSizes) {
  Run([](Group& group) {
    if (Lacks(group, OpKind::kAllGatherV)) return;
    for (const size_t count : kCounts) {
      const auto parts = PartsOf(count, group.size());
      Guarded in(parts[IndexOf(group)], Dtype::kF64), out(Before(parts, parts.size()), Dtype::kF64);
      Fill(in.buffer(), group.rank().value());
      ASSERT_OK(group.AllGatherV(in.buffer(), out.buffer(), parts)->Wait());
      for (size_t r = 0; r < parts.size(); ++r) {
        ExpectElements(
            out.part(Before(parts, r), parts[r]),
            [&](size_t i) { return static_cast<double>(InputOf(static_cast<int>(r), i)); }, "part");
      }
      ASSERT_TRUE(in.intact() && out.intact());
    }
  });
}

TEST_P(OpsContractTest, AllToAllTransposes) {
  Run([](Group& group) {
    if (Lacks(group, OpKind::kAllToAll)) return;
    for (const size_t count : kCounts) {
      Guarded in(count * SizeOf(group), Dtype::kF32), out(count * SizeOf(group), Dtype::kF32);
      Fill(in.buffer(), group.rank().value());
      ASSERT_OK(group.AllToAll(in.buffer(), out.buffer())->Wait());
      for (size_t r = 0; r < SizeOf(group); ++r) {
        ExpectElements(
            out.part(r * count, count),
            [&](size_t i) {
              return static_cast<double>(InputOf(static_cast<int>(r), IndexOf(group) * count + i));
            },
            "part");
      }
      ASSERT_TRUE(in.intact() && out.intact());
    }
  });
}

TEST_P(OpsContractTest, AllToAllVTransposesPartsOfDifferentSizes) {
  Run([](Group& group) {
    if (Lacks(group, OpKind::kAllToAllV)) return;
    // From a to b; some of them nothing.
    const auto part = [](size_t count, size_t from, size_t to) {
      return (from + 2 * to) % 3 == 1 ? 0 : count / (1 + from + to);
    };
    for (const size_t count : kCounts) {
      std::vector<size_t> sends, receives;
      for (size_t r = 0; r < SizeOf(group); ++r) {
        sends.push_back(part(count, IndexOf(group), r));
        receives.push_back(part(count, r, IndexOf(group)));
      }
      Guarded in(Before(sends, sends.size()), Dtype::kU32);
      Guarded out(Before(receives, receives.size()), Dtype::kU32);
      for (size_t r = 0; r < SizeOf(group); ++r)
        Fill(in.part(Before(sends, r), sends[r]), group.rank().value(), r);
      ASSERT_OK(group.AllToAllV(in.buffer(), sends, out.buffer(), receives)->Wait());
      for (size_t r = 0; r < SizeOf(group); ++r) {
        ExpectElements(
            out.part(Before(receives, r), receives[r]),
            [&](size_t i) {
              return static_cast<double>(InputOf(static_cast<int>(r), IndexOf(group) + i));
            },
            "part");
      }
      ASSERT_TRUE(in.intact() && out.intact());
    }
  });
}

TEST_P(OpsContractTest, GatherAndScatterByEveryRoot) {
  Run([](Group& group) {
    if (Lacks(group, OpKind::kGather) || Lacks(group, OpKind::kScatter)) return;
    for (int root = 0; root < group.size(); ++root) {
      for (const size_t count : kCounts) {
        const bool is_root = root == group.rank().value();
        Guarded part(count, Dtype::kF32), all(count * SizeOf(group), Dtype::kF32);
        Fill(part.buffer(), group.rank().value());
        const Buffer whole = is_root ? all.buffer() : Buffer{.dtype = Dtype::kF32};
        ASSERT_OK(group.Gather(part.buffer(), whole, GroupRank(root))->Wait());
        if (is_root) {
          ExpectElements(
              all.buffer(),
              [&](size_t i) {
                return static_cast<double>(InputOf(static_cast<int>(i / count), i % count));
              },
              "gathered");
        }
        Guarded back(count, Dtype::kF32);
        ASSERT_OK(group.Scatter(whole, back.buffer(), GroupRank(root))->Wait());
        ASSERT_EQ(std::memcmp(back.data(), part.data(), part.size()), 0) << count;
        ASSERT_TRUE(part.intact() && all.intact() && back.intact());
      }
    }
  });
}

TEST_P(OpsContractTest, OpsOfAllKindsOneAfterTheOther) {
  Run([](Group& group) {
    std::vector<std::shared_ptr<Work>> works;
    const size_t count = 3001;
    std::vector<std::unique_ptr<Guarded>> buffers;
    const auto make = [&](size_t elements) -> Guarded& {
      buffers.push_back(std::make_unique<Guarded>(elements, Dtype::kF32));
      Fill(buffers.back()->buffer(), group.rank().value());
      return *buffers.back();
    };
    for (int round = 0; round < 5; ++round) {
      const GroupRank root(round % group.size());
      Guarded& sum = make(count);
      works.push_back(group.AllReduce(sum.buffer(), sum.buffer(), Reduction::kSum));
      works.push_back(group.Barrier());
      Guarded& all = make(count * SizeOf(group));
      works.push_back(group.AllGather(all.part(IndexOf(group) * count, count), all.buffer()));
      works.push_back(group.Broadcast(make(count).buffer(), root));
      if (!Lacks(group, OpKind::kAllToAll))
        works.push_back(group.AllToAll(all.buffer(), make(count * SizeOf(group)).buffer()));
      if (!Lacks(group, OpKind::kReduceScatter))
        works.push_back(group.ReduceScatter(all.buffer(), make(count).buffer(), Reduction::kMax));
    }
    for (const auto& work : works) ASSERT_OK(work->Wait());
    for (const auto& buffer : buffers) ASSERT_TRUE(buffer->intact());
  });
}

}  // namespace
}  // namespace lockstep::collectives::testing
