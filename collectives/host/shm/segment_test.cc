// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/shm/segment.h"

#include <gtest/gtest.h>

#include "collectives/host/shm/local_segments.h"
#include "runtime/attach/shared_memory.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives {
namespace {

using base::Code;
using base::testing::StatusIs;
using ::testing::HasSubstr;

// Mapped all the same, its end would be a SIGBUS at the first touch.
TEST(SegmentTest, MemoryThatIsTooSmallIsRefused) {
  const base::UniqueFd fd(lockstep_shared_memory_create("test", 4096));
  EXPECT_OK(Segment::Map(fd, 4096));
  EXPECT_THAT(Segment::Map(fd, 4097),
              StatusIs(Code::kDataLoss, HasSubstr("has 4096 bytes, 4097 were asked for")));
}

TEST(LocalSegmentsTest, MembersGetOneSegmentAndItIsForgottenWhenAllHaveIt) {
  LocalSegments segments;
  const auto open = [&](int member, size_t bytes = 4096) {
    return segments.Open(
        {.group = base::GroupId(1), .member_count = 2, .member_index = member, .bytes = bytes},
        std::chrono::seconds(1));
  };
  ASSERT_OK_AND_ASSIGN(const auto first, open(0));
  ASSERT_OK_AND_ASSIGN(const auto again, open(0));
  EXPECT_THAT(open(1, 8192), StatusIs(Code::kFailedPrecondition, HasSubstr("different sizes")));
  ASSERT_OK_AND_ASSIGN(const auto second, open(1));
  EXPECT_EQ(again, first);
  EXPECT_EQ(second, first);
  EXPECT_EQ(first.use_count(), 3) << "the source holds it still";

  ASSERT_OK_AND_ASSIGN(const auto next, open(1, 8192));
  EXPECT_NE(next, first);
}

}  // namespace
}  // namespace lockstep::collectives
