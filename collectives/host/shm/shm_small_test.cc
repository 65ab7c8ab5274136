// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Small inputs, which members write into places that are used again and again.
#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "collectives/host/shm/shm_layout.h"
#include "collectives/testing/thread_gang.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives {
namespace {

using base::testing::IsOk;
using testing::ThreadGang;

int32_t Value(int op, int rank, size_t index) {
  return static_cast<int32_t>(index) * (rank + 2) + 1000 * op;
}

// Of all sizes to the limit and beyond, some by the places of the smallest, until each byte of the
// ring has been written several times.
TEST(ShmSmallTest, InputsOfAllSizesGoAroundTheRing) {
  for (const int ranks : {2, 3}) {
    const ShmLayout layout(ranks);
    ASSERT_GT(layout.small_ring_bytes(), 0u);
    const size_t most = layout.small_bytes() / sizeof(int32_t) + 20;
    ThreadGang(ranks).Run([&](Group& group) {
      const int rank = group.rank().value();
      size_t written = 0;
      for (int op = 0; written < 3 * layout.small_ring_bytes(); ++op) {
        const size_t count = 13 + static_cast<size_t>(op) * 997 % most;
        std::vector<int32_t> in(count), out(count);
        for (size_t i = 0; i < count; ++i) in[i] = Value(op, rank, i);
        ASSERT_THAT(group
                        .AllReduce({in.data(), count, Dtype::kI32},
                                   {out.data(), count, Dtype::kI32}, Reduction::kSum)
                        ->Wait(),
                    IsOk());
        for (size_t i = 0; i < count; ++i) {
          int32_t sum = 0;
          for (int member = 0; member < ranks; ++member) sum += Value(op, member, i);
          ASSERT_EQ(out[i], sum) << "op " << op << ", element " << i << " of " << count;
        }
        written += count * sizeof(int32_t);
      }
    });
  }
}

// The next op may be written while a slow member still reads this one.
TEST(ShmSmallTest, TwoOpsInARowLieApart) {
  ThreadGang(2).Run([](Group& group) {
    const size_t count = ShmLayout(2).small_bytes() / sizeof(int32_t);
    std::vector<int32_t> data(count);
    for (int op = 0; op < 600; ++op) {
      const bool is_root = group.rank().value() == 0;
      for (int32_t& value : data) value = is_root ? op : -1;
      ASSERT_THAT(group.Broadcast({data.data(), count, Dtype::kI32}, base::GroupRank(0))->Wait(),
                  IsOk());
      for (const int32_t value : data) ASSERT_EQ(value, op);
    }
  });
}

TEST(ShmSmallTest, LargerGroupsHaveLessOfIt) {
  EXPECT_EQ(ShmLayout(2).small_bytes(), size_t{32} << 10);
  EXPECT_EQ(ShmLayout(4).small_bytes(), size_t{16} << 10);
  EXPECT_EQ(ShmLayout(256).small_bytes(), size_t{8} << 10);
  EXPECT_GT(ShmLayout(4).small_ring_bytes(), 0u);
  EXPECT_EQ(ShmLayout(5).small_ring_bytes(), 0u);
  for (const int members : {2, 3, 4, 5, 256}) {
    const ShmLayout layout(members);
    EXPECT_LE(layout.small_offset(0) + layout.all_small_bytes(), layout.stage_offset(0, 0));
    EXPECT_LE(layout.result_offset(0, layout.window_count() - 1) + layout.slice_bytes(),
              layout.payload_offset(1));
  }
}

}  // namespace
}  // namespace lockstep::collectives
