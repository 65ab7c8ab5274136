// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Group::Explain over shared memory: which way each kind of op takes.
#include <gmock/gmock.h>

#include <algorithm>
#include <string>

#include "collectives/host/shm/stream_copy.h"
#include "collectives/testing/thread_gang.h"

namespace lockstep::collectives {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::ThreadGang;

constexpr char kDirect[] = "between buffers of AllocBuffer: direct";

std::string Way(const Group& group, OpKind kind, size_t bytes) {
  return group.Explain(kind, Dtype::kU8, bytes);
}

TEST(ShmExplainTest, SendsGoThroughLanes) {
  ThreadGang(2).Run([](Group& group) {
    for (const OpKind kind : {OpKind::kSend, OpKind::kRecv, OpKind::kBatch}) {
      for (const size_t bytes : {size_t{8}, size_t{4096}, size_t{16} << 20}) {
        EXPECT_THAT(Way(group, kind, bytes),
                    AllOf(HasSubstr("the lane of each pair"), Not(HasSubstr("direct"))));
      }
    }
  });
}

TEST(ShmExplainTest, OnlyKindsThatAreMappedAreDirect) {
  ThreadGang(2).Run([](Group& group) {
    EXPECT_THAT(Way(group, OpKind::kAllReduce, 48), HasSubstr("inline"));
    for (const size_t bytes : {size_t{4096}, size_t{64} << 10}) {
      for (const OpKind kind : {OpKind::kAllReduce, OpKind::kBroadcast, OpKind::kAllGather,
                                OpKind::kReduceScatter, OpKind::kGather, OpKind::kAllToAll})
        EXPECT_THAT(Way(group, kind, bytes), HasSubstr(kDirect));
      for (const OpKind kind : {OpKind::kReduce, OpKind::kScatter, OpKind::kAllToAllV})
        EXPECT_THAT(Way(group, kind, bytes), Not(HasSubstr(kDirect)));
    }
    EXPECT_THAT(Way(group, OpKind::kAllReduce, 1024), Not(HasSubstr(kDirect)));
  });
}

TEST(ShmExplainTest, PartsThatDifferAreNeverSmall) {
  ThreadGang(2).Run([](Group& group) {
    for (const size_t bytes : {size_t{8}, size_t{4096}})
      EXPECT_THAT(Way(group, OpKind::kAllToAllV, bytes), HasSubstr("staged"));
  });
}

TEST(ShmExplainTest, TwoBeyondTheCachesBothCombineAll) {
  // Twice that is a member's. Sizes below are fetched where members share a processor.
  const size_t beyond = std::max(LastCacheBytes(), size_t{16} << 20);
  const auto combines = [beyond](Group& group) {
    return Way(group, OpKind::kAllReduce, beyond).find("that both combine") != std::string::npos;
  };
  ThreadGang(2).Run([&](Group& group) {
    EXPECT_TRUE(combines(group));
    EXPECT_THAT(Way(group, OpKind::kReduceScatter, beyond), Not(HasSubstr("both combine")));
    EXPECT_THAT(Way(group, OpKind::kAllReduce, size_t{64} << 10), Not(HasSubstr("both combine")));
  });
  ThreadGang(3).Run([&](Group& group) { EXPECT_FALSE(combines(group)); });
}

}  // namespace
}  // namespace lockstep::collectives
