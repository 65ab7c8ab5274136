// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Counts that no 32 bits hold, in place. A small one in the ordinary suite; above 2^31 in make
// soak, where it takes 9 GiB.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "collectives/group.h"
#include "collectives/host/tcp/local_tcp.h"
#include "collectives/host/wide/local_wide.h"
#include "collectives/testing/thread_gang.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives {
namespace {

using base::GroupRank;
using testing::ThreadGang;

size_t Count() {
  return (::getenv("LOCKSTEP_SOAK") == nullptr ? size_t{1} << 20 : size_t{1} << 31) + 4099;
}

/// What `rank` puts in at `index`; not the same again 2^31 or 2^32 elements later.
uint8_t Value(size_t rank, size_t index) {
  return static_cast<uint8_t>((index + (index >> 31) * 3 + rank) * 7);
}

void Fill(uint8_t* data, size_t count, size_t rank) {
  for (size_t i = 0; i < count; ++i) data[i] = Value(rank, i);
}

template <class Expected>
void ExpectElements(const uint8_t* data, size_t count, const Expected& expected) {
  for (size_t i = 0; i < count; ++i) {
    if (data[i] != expected(i)) FAIL() << "element " << i << " of " << count;
  }
}

Buffer Of(uint8_t* data, size_t count) { return {data, count, Dtype::kU8}; }

class LargeCountsTest : public ::testing::Test {
 protected:
  /// Each rank has memory for `parts` times the count.
  static void Run(const std::shared_ptr<BackendMaker>& maker, int ranks, size_t parts,
                  const std::function<void(Group&, uint8_t* data, size_t rank)>& body) {
    ThreadGang gang(ranks, maker);
    gang.timeout = std::chrono::seconds(600);
    gang.Run([&](Group& group) {
      std::vector<uint8_t> data(parts * Count());
      body(group, data.data(), static_cast<size_t>(group.rank().value()));
      EXPECT_OK(group.Barrier()->Wait());
    });
  }

  static void RunOpsInPlace(const std::shared_ptr<BackendMaker>& maker, int ranks) {
    const size_t count = Count();
    const auto last = static_cast<size_t>(ranks - 1);
    Run(maker, ranks, 1, [count, last](Group& group, uint8_t* data, size_t rank) {
      Fill(data, count, rank);
      ASSERT_OK(group.AllReduce(Of(data, count), Of(data, count), Reduction::kSum)->Wait());
      ExpectElements(data, count, [last](size_t i) {
        uint8_t sum = 0;
        for (size_t from = 0; from <= last; ++from)
          sum = static_cast<uint8_t>(sum + Value(from, i));
        return sum;
      });

      Fill(data, count, rank);
      ASSERT_OK(group.Broadcast(Of(data, count), GroupRank(1))->Wait());
      ExpectElements(data, count, [](size_t i) { return Value(1, i); });

      Fill(data, count, rank);
      if (rank == 0) {
        ASSERT_OK(group.Send(Of(data, count), GroupRank(static_cast<int>(last)))->Wait());
      } else if (rank == last) {
        ASSERT_OK(group.Recv(Of(data, count), GroupRank(0))->Wait());
      }
      ExpectElements(data, count,
                     [rank, last](size_t i) { return Value(rank == last ? 0 : rank, i); });
    });
  }

  static void RunAllGather(const std::shared_ptr<BackendMaker>& maker) {
    const size_t count = Count();
    Run(maker, 2, 2, [count](Group& group, uint8_t* data, size_t rank) {
      Fill(data + rank * count, count, rank);
      ASSERT_OK(group.AllGather(Of(data + rank * count, count), Of(data, 2 * count))->Wait());
      ExpectElements(data, 2 * count, [count](size_t i) { return Value(i / count, i % count); });
    });
  }
};

TEST_F(LargeCountsTest, InSharedMemory) {
  RunOpsInPlace(ThreadGang::InSharedMemory(), 2);
  RunAllGather(ThreadGang::InSharedMemory());
}

TEST_F(LargeCountsTest, OverTcp) {
  RunOpsInPlace(testing::LocalTcpMaker(), 2);
  RunAllGather(testing::LocalTcpMaker());
}

TEST_F(LargeCountsTest, OverWide) {
  RunOpsInPlace(std::make_shared<testing::LocalWideMaker>(std::vector<int>{0, 0, 1}), 3);
}

}  // namespace
}  // namespace lockstep::collectives
