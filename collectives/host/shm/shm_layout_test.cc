// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// The layout is the one of docs/protocols.md: a change of the one without the other fails.
#include "collectives/host/shm/shm_layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

namespace lockstep::collectives {
namespace {

using ::testing::HasSubstr;

std::string Section() {
  std::ifstream file("docs/protocols.md");
  EXPECT_TRUE(file.is_open());
  std::stringstream all;
  all << file.rdbuf();
  const std::string text = all.str();
  const size_t begin = text.find("## Between ranks: groups in shared memory");
  return text.substr(begin, text.find("\n## ", begin + 1) - begin);
}

/// By the first cell of each row of the table, without its quotes.
std::map<std::string, size_t> DocumentedOffsets() {
  std::map<std::string, size_t> offsets;
  std::istringstream lines(Section());
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("| `")) continue;
    const size_t end = line.find("` | ");
    offsets[line.substr(3, end - 3)] = std::stoul(line.substr(end + 4));
  }
  return offsets;
}

/// "10,908,160".
std::string Grouped(size_t number) {
  std::string text = std::to_string(number);
  for (size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, ",");
  return text;
}

TEST(ShmLayoutTest, OffsetsAreThoseOfTheDocument) {
  const std::map<std::string, size_t> code = {
      {"Control.poison", offsetof(Control, poison)},
      {"Control.sleepers", offsetof(Control, sleepers)},
      {"Control.bell", offsetof(Control, bell)},
      {"MemberPage.arrival", offsetof(MemberPage, arrival)},
      {"MemberPage.progress", offsetof(MemberPage, progress)},
      {"MemberPage.reads_peers", offsetof(MemberPage, reads_peers)},
      {"MemberPage.late_until_ns", offsetof(MemberPage, late_until_ns)},
      {"MemberPage.ops", offsetof(MemberPage, ops)},
      {"MemberPage.card", offsetof(MemberPage, card)},
      {"MemberPage.error", offsetof(MemberPage, error)},
  };
  EXPECT_EQ(DocumentedOffsets(), code);
}

TEST(ShmLayoutTest, TheExampleOfTheDocumentIsRight) {
  const ShmLayout layout(2);
  const std::string text = Section();
  for (const size_t number :
       {layout.page_offset(0), layout.page_offset(1), layout.payload_bytes(),
        layout.payload_offset(0), layout.payload_offset(1), layout.lane_offset(0, 0),
        layout.total_bytes(), layout.page_offset(1) + offsetof(MemberPage, arrival[1])}) {
    EXPECT_THAT(text, HasSubstr(Grouped(number)));
  }
  EXPECT_THAT(text, HasSubstr("from " + Grouped(layout.payload_offset(0)) + " + 8,192 + 2 x " +
                              Grouped(layout.small_bytes()) + " on"));
  EXPECT_EQ(layout.small_offset(0), layout.payload_offset(0) + 8192);
}

TEST(ShmLayoutTest, PartsFollowEachOtherWithoutOverlap) {
  for (const int members : {1, 2, 3, 4, 5, 8, 64, kMaxShmMembers}) {
    SCOPED_TRACE(members);
    const ShmLayout layout(members);
    EXPECT_EQ(layout.page_offset(0), sizeof(Control));
    EXPECT_EQ(layout.payload_offset(0), layout.page_offset(members));
    for (uint64_t window = 1; window < layout.window_count(); ++window) {
      EXPECT_EQ(layout.stage_offset(0, window),
                layout.stage_offset(0, window - 1) + layout.stage_bytes());
    }
    EXPECT_EQ(layout.stage_offset(0, 0), layout.small_offset(0) + layout.all_small_bytes());
    EXPECT_EQ(layout.result_offset(0, 0),
              layout.stage_offset(0, 0) + layout.window_count() * layout.stage_bytes());
    EXPECT_LE(layout.result_offset(0, layout.window_count() - 1) + layout.slice_bytes(),
              layout.payload_offset(1));
    EXPECT_EQ(layout.lane_offset(0, 0), layout.payload_offset(members));
    EXPECT_EQ(layout.total_bytes(), layout.lane_offset(members, 0));
    EXPECT_EQ(layout.slice_bytes() % kCacheLine, 0u);
  }
}

}  // namespace
}  // namespace lockstep::collectives
