// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/shm/segment.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

#include "collectives/host/shm/local_segments.h"
#include "runtime/attach/shared_memory.h"
#include "runtime/base/testing/status_matchers.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

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

/// Of the mapping that begins at `data`: the kilobytes that /proc/self/smaps names so.
size_t Kilobytes(const void* data, const std::string& name) {
  std::ifstream file("/proc/self/smaps");
  std::ostringstream begin;
  begin << std::hex << reinterpret_cast<uintptr_t>(data) << "-";
  bool here = false;
  for (std::string line; std::getline(file, line);) {
    if (here && line.starts_with(name + ":")) return std::stoul(line.substr(name.size() + 1));
    if (line.find('-') < line.find(' ')) here = line.starts_with(begin.str());
  }
  return 0;
}

TEST(SegmentTest, WholeHugePagesOfARangeAreBroughtInAndNoOthers) {
  ASSERT_OK_AND_ASSIGN(const auto segment, Segment::Anonymous(5 * kHugePageBytes + 4096));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(segment->data()) % kHugePageBytes, 0u);
  std::byte* const last = segment->data() + segment->bytes() - 1;
  *last = std::byte{1};

  segment->UseHugePages(4096, 3 * kHugePageBytes);

  EXPECT_EQ(Kilobytes(segment->data(), "Rss"), 2 * kHugePageBytes / 1024 + 4);
  EXPECT_EQ(*last, std::byte{1});
  segment->UseHugePages(4096, kHugePageBytes);  // none whole
  EXPECT_EQ(Kilobytes(segment->data(), "Rss"), 2 * kHugePageBytes / 1024 + 4);
  if (Kilobytes(segment->data(), "ShmemPmdMapped") == 0)
    GTEST_SKIP() << "this kernel gives no huge pages for shared memory";
  EXPECT_EQ(Kilobytes(segment->data(), "ShmemPmdMapped"), 2 * kHugePageBytes / 1024);
}

TEST(SegmentTest, ThePagesOfARangeAreBroughtInAndNoOthers) {
  ASSERT_OK_AND_ASSIGN(const auto segment, Segment::Anonymous(16 * 4096));
  segment->data()[9 * 4096] = std::byte{1};
  // Nothing to do for it there; Linux 5.14 and newer take it.
  if (madvise(segment->data() + 9 * 4096, 4096, MADV_POPULATE_WRITE) != 0)
    GTEST_SKIP() << "this kernel brings no pages in at once: " << strerror(errno);

  segment->Populate(4097, 2 * 4096);  // the end of one, one, and the begin of one

  EXPECT_EQ(Kilobytes(segment->data(), "Rss"), 4 * 4096 / 1024);
  EXPECT_EQ(segment->data()[9 * 4096], std::byte{1});
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
