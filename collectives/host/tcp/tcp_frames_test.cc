// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/tcp_frames.h"

#include <gtest/gtest.h>

#include <cstring>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives {
namespace {

using base::Code;
using base::testing::StatusIs;
using ::testing::HasSubstr;

const FrameSource kSource{base::GroupId(7), base::Round(2), 1};

FrameHeader GoodHeader() {
  FrameHeader header;
  header.kind = FrameKind::kData;
  header.group = 7;
  header.epoch = 2;
  header.from = 1;
  header.bytes = 100;
  return header;
}

std::span<const std::byte> BytesOf(const FrameHeader& header) {
  return std::as_bytes(std::span(&header, 1));
}

TEST(TcpFramesTest, AHeaderIsReadAsItWasWritten) {
  const FrameHeader header = GoodHeader();

  ASSERT_OK_AND_ASSIGN(const auto read, ParseFrameHeader(BytesOf(header), kSource, 100));

  EXPECT_EQ(read.kind, FrameKind::kData);
  EXPECT_EQ(read.bytes, 100u);
}

TEST(TcpFramesTest, FramesOfAnotherGroupEpochOrMemberAreRefusedByName) {
  FrameHeader epoch = GoodHeader(), group = GoodHeader(), member = GoodHeader();
  epoch.epoch = 1;
  group.group = 8;
  member.from = 0;

  EXPECT_THAT(ParseFrameHeader(BytesOf(epoch), kSource, 100),
              StatusIs(Code::kFailedPrecondition, HasSubstr("in epoch 1 where")));
  EXPECT_THAT(ParseFrameHeader(BytesOf(group), kSource, 100), StatusIs(Code::kFailedPrecondition));
  EXPECT_THAT(ParseFrameHeader(BytesOf(member), kSource, 100),
              StatusIs(Code::kFailedPrecondition, HasSubstr("member 0")));
}

TEST(TcpFramesTest, WhatIsNoFrameOrTooLongIsDataLoss) {
  FrameHeader magic = GoodHeader(), version = GoodHeader(), kind = GoodHeader();
  magic.magic = 1;
  version.version = 2;
  kind.kind = static_cast<FrameKind>(kFrameKindLimit);

  for (const FrameHeader& header : {magic, version, kind})
    EXPECT_THAT(ParseFrameHeader(BytesOf(header), kSource, 100), StatusIs(Code::kDataLoss));
  EXPECT_THAT(ParseFrameHeader(BytesOf(GoodHeader()), kSource, 99),
              StatusIs(Code::kDataLoss, HasSubstr("100 bytes, of at most 99")));
  EXPECT_THAT(ParseFrameHeader(BytesOf(GoodHeader()).first(63), kSource, 100),
              StatusIs(Code::kDataLoss));
}

std::vector<std::byte> TwoEntries() {
  CallEntry last, first;  // members 2 and 0 of 3
  last.member = 2;
  last.payload_bytes = 3;
  std::strcpy(last.call_site, "a\x1b.cc:7");
  std::vector<std::byte> bytes(2 * sizeof(CallEntry) + 3, std::byte{'x'});
  std::memcpy(bytes.data(), &last, sizeof last);
  std::memcpy(bytes.data() + sizeof last + 3, &first, sizeof first);
  return bytes;
}

TEST(TcpFramesTest, CallsFollowEachOtherModuloTheSize) {
  const auto bytes = TwoEntries();

  ASSERT_OK_AND_ASSIGN(const auto entries, ParseCallEntries(bytes, 2, 2, 3));

  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[0].payload.size(), 3u);
  EXPECT_STREQ(entries[0].call.call_site, "a?.cc:7");  // it goes to a terminal
  EXPECT_EQ(entries[1].call.member, 0);
}

TEST(TcpFramesTest, CallsOfOthersTooFewOrTooLongAreDataLoss) {
  auto bytes = TwoEntries();

  EXPECT_THAT(ParseCallEntries(bytes, 1, 2, 3), StatusIs(Code::kDataLoss));
  EXPECT_THAT(ParseCallEntries(bytes, 2, 1, 3), StatusIs(Code::kDataLoss));
  EXPECT_THAT(ParseCallEntries(bytes, 2, 3, 3), StatusIs(Code::kDataLoss));
  EXPECT_THAT(ParseCallEntries(bytes, 2, 4, 3), StatusIs(Code::kDataLoss));
  bytes[offsetof(CallEntry, payload_bytes) + 3] = std::byte{0x7f};
  EXPECT_THAT(ParseCallEntries(bytes, 2, 2, 3), StatusIs(Code::kDataLoss));
}

}  // namespace
}  // namespace lockstep::collectives
