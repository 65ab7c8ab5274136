// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/attach/attach_wire.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "runtime/attach/attach_wire_layout_check.h"

namespace {

lockstep_attach_message SegmentRequest() {
  lockstep_attach_message message{};
  lockstep_attach_set_header(&message.header, LOCKSTEP_ATTACH_SEGMENT_REQUEST, 1,
                             sizeof message.segment_request);
  message.segment_request.bytes = 4096;
  message.segment_request.member_count = 4;
  message.segment_request.member_index = 3;
  return message;
}

std::string WrongIn(const lockstep_attach_message& message, size_t length,
                    lockstep_attach_side side = LOCKSTEP_ATTACH_FROM_RANK, uint16_t agreed = 0) {
  const char* const wrong = lockstep_attach_check(&message, length, side, agreed);
  return wrong != nullptr ? wrong : "";
}

TEST(AttachWireTest, CAndCppSeeTheSameLayout) {
  const std::vector<size_t> cpp = {LOCKSTEP_ATTACH_LAYOUT};
  const std::vector<size_t> c(lockstep_attach_c_layout,
                              lockstep_attach_c_layout + lockstep_attach_c_layout_count);
  EXPECT_EQ(c, cpp);
}

// These two are read by releases that have no version in common: their bytes never change.
TEST(AttachWireTest, HelloAndRefusedAreTheDocumentedBytes) {
  lockstep_attach_hello hello{};
  lockstep_attach_set_header(&hello.header, LOCKSTEP_ATTACH_HELLO, 0, sizeof hello);
  hello.lowest_version = 1;
  hello.highest_version = 1;
  hello.cookie[0] = 0xc0;
  const unsigned char hello_bytes[25] = {0x4c, 0x53, 0x41, 0x31, 1, 0, 0, 0, 56, 0, 0, 0,   0,
                                         0,    0,    0,    1,    0, 1, 0, 0, 0,  0, 0, 0xc0};
  EXPECT_EQ(std::memcmp(&hello, hello_bytes, sizeof hello_bytes), 0);

  lockstep_attach_refused refused{};
  lockstep_attach_set_header(&refused.header, LOCKSTEP_ATTACH_REFUSED, 0, sizeof refused);
  refused.status = 9;
  refused.text[0] = 'N';
  const unsigned char refused_bytes[25] = {0x4c, 0x53, 0x41, 0x31, 16, 0, 0, 0, 0x10, 2, 0, 0,  0,
                                           0,    0,    0,    9,    0,  0, 0, 0, 0,    0, 0, 'N'};
  EXPECT_EQ(std::memcmp(&refused, refused_bytes, sizeof refused_bytes), 0);
  lockstep_attach_message message{};
  message.refused = refused;
  EXPECT_EQ(WrongIn(message, sizeof refused, LOCKSTEP_ATTACH_FROM_AGENT), "");
}

TEST(AttachWireTest, TheHighestCommonVersionIsTaken) {
  const auto agree = [](uint16_t lowest, uint16_t highest) {
    lockstep_attach_hello hello{};
    hello.lowest_version = lowest;
    hello.highest_version = highest;
    return lockstep_attach_agree(&hello);
  };
  EXPECT_EQ(agree(1, 1), 1);
  EXPECT_EQ(agree(1, 7), LOCKSTEP_ATTACH_VERSION);
  EXPECT_EQ(agree(LOCKSTEP_ATTACH_VERSION + 1, 65535), 0);
  lockstep_attach_message message{};
  lockstep_attach_set_header(&message.header, LOCKSTEP_ATTACH_HELLO, 0, sizeof message.hello);
  EXPECT_EQ(WrongIn(message, sizeof message.hello), "versions out of range");
  message.hello.lowest_version = 3;
  message.hello.highest_version = 2;
  EXPECT_EQ(WrongIn(message, sizeof message.hello), "versions out of range");
  message.hello.highest_version = 9;
  EXPECT_EQ(WrongIn(message, sizeof message.hello), "")
      << "whether there is a common one is the agent's to say";
}

// Messages once bore the version of whoever sent them, whatever had been agreed upon.
TEST(AttachWireTest, OnceAgreedUponOneVersionAloneIsTaken) {
  auto message = SegmentRequest();
  constexpr uint16_t kAgreed = LOCKSTEP_ATTACH_VERSION + 1;
  const auto wrong_in = [&](uint16_t version, uint16_t agreed) {
    lockstep_attach_set_header(&message.header, LOCKSTEP_ATTACH_SEGMENT_REQUEST, version,
                               sizeof message.segment_request);
    return WrongIn(message, sizeof message.segment_request, LOCKSTEP_ATTACH_FROM_RANK, agreed);
  };
  EXPECT_EQ(wrong_in(kAgreed, kAgreed), "");
  EXPECT_EQ(wrong_in(kAgreed - 1, kAgreed), "another version of the attach protocol");
  EXPECT_EQ(wrong_in(0, kAgreed), "another version of the attach protocol");
  EXPECT_EQ(wrong_in(LOCKSTEP_ATTACH_VERSION, 0), "");
  EXPECT_EQ(wrong_in(kAgreed, 0), "another version of the attach protocol");
  EXPECT_EQ(wrong_in(0, 0), "another version of the attach protocol");

  message.refused = {};
  lockstep_attach_set_header(&message.header, LOCKSTEP_ATTACH_REFUSED, 0, sizeof message.refused);
  EXPECT_EQ(WrongIn(message, sizeof message.refused, LOCKSTEP_ATTACH_FROM_AGENT, kAgreed), "");
}

TEST(AttachWireTest, AGoodMessagePasses) {
  const auto message = SegmentRequest();
  EXPECT_EQ(WrongIn(message, sizeof message.segment_request), "");
}

TEST(AttachWireTest, RoundsAreOfVersionThree) {
  lockstep_attach_message message{};
  const auto wrong_in = [&message](uint16_t version) {
    lockstep_attach_set_header(&message.header, LOCKSTEP_ATTACH_EXCLUDE, version,
                               sizeof message.exclude);
    return WrongIn(message, sizeof message.exclude, LOCKSTEP_ATTACH_FROM_RANK, version);
  };
  EXPECT_EQ(wrong_in(3), "");
  EXPECT_EQ(wrong_in(2), "message of an unexpected type");
  message.exclude.rank = -1;
  EXPECT_EQ(wrong_in(3), "a negative rank");
  message.exclude.rank = 1;
  std::memset(message.exclude.why, 'x', sizeof message.exclude.why);
  EXPECT_EQ(wrong_in(3), "text without an end");

  message = {};
  lockstep_attach_set_header(&message.header, LOCKSTEP_ATTACH_ROUND, 3, sizeof message.round);
  message.round.gone_count = LOCKSTEP_ATTACH_MAX_MEMBERS + 1;
  EXPECT_EQ(WrongIn(message, sizeof message.round, LOCKSTEP_ATTACH_FROM_AGENT, 3),
            "more ranks than a job has");
}

TEST(AttachWireTest, EachWrongFieldIsNamed) {
  const size_t length = sizeof(lockstep_attach_segment_request);
  EXPECT_EQ(WrongIn(SegmentRequest(), 15), "message shorter than its header");
  EXPECT_EQ(WrongIn(SegmentRequest(), length - 1), "message of a wrong length");
  EXPECT_EQ(WrongIn(SegmentRequest(), length, LOCKSTEP_ATTACH_FROM_AGENT),
            "message of an unexpected type");
  auto message = SegmentRequest();
  message.header.magic = 1;
  EXPECT_NE(WrongIn(message, length).find("magic"), std::string::npos);
  message = SegmentRequest();
  message.header.version = LOCKSTEP_ATTACH_VERSION + 1;
  EXPECT_NE(WrongIn(message, length).find("version"), std::string::npos);
  message = SegmentRequest();
  message.header.type = 999;
  EXPECT_EQ(WrongIn(message, length), "message of an unexpected type");
  message = SegmentRequest();
  message.header.length = 12;
  EXPECT_EQ(WrongIn(message, length), "message of a wrong length");
  message = SegmentRequest();
  message.segment_request.member_index = 4;
  EXPECT_EQ(WrongIn(message, length), "member index beyond the member count");
  message.segment_request.member_count = LOCKSTEP_ATTACH_MAX_MEMBERS + 1;
  EXPECT_EQ(WrongIn(message, length), "member count out of range");
  message = SegmentRequest();
  message.segment_request.bytes = LOCKSTEP_ATTACH_MAX_SEGMENT_BYTES + 1;
  EXPECT_EQ(WrongIn(message, length), "segment size out of range");
}

TEST(AttachWireTest, CardsHaveBounds) {
  lockstep_attach_message message{};
  const size_t length = sizeof message.card;
  lockstep_attach_set_header(&message.header, LOCKSTEP_ATTACH_CARD, 2, length);
  message.card.member_count = LOCKSTEP_ATTACH_MAX_CARDS;
  message.card.member_index = LOCKSTEP_ATTACH_MAX_CARDS - 1;
  message.card.card_bytes = LOCKSTEP_ATTACH_MAX_CARD_BYTES;
  EXPECT_EQ(WrongIn(message, length), "");
  message.card.member_index = LOCKSTEP_ATTACH_MAX_CARDS;
  EXPECT_EQ(WrongIn(message, length), "member index beyond the member count");
  message.card.member_count = LOCKSTEP_ATTACH_MAX_CARDS + 1;
  EXPECT_EQ(WrongIn(message, length), "member count out of range");
  message.card.member_count = 1;
  message.card.member_index = 0;
  for (const uint32_t bytes : {0u, LOCKSTEP_ATTACH_MAX_CARD_BYTES + 1}) {
    message.card.card_bytes = bytes;
    EXPECT_EQ(WrongIn(message, length), "length of a card out of range");
  }
}

TEST(AttachWireTest, TablesOfCardsHaveBounds) {
  lockstep_attach_message message{};
  const size_t length = sizeof message.cards;
  lockstep_attach_set_header(&message.header, LOCKSTEP_ATTACH_CARDS, 2, length);
  message.cards.table_bytes = UINT64_C(1024) * 516;
  EXPECT_EQ(WrongIn(message, length, LOCKSTEP_ATTACH_FROM_AGENT), "");
  ++message.cards.table_bytes;
  EXPECT_EQ(WrongIn(message, length, LOCKSTEP_ATTACH_FROM_AGENT), "size of a table out of range");
}

TEST(AttachWireTest, WhatCameWithVersionTwoIsUnknownToVersionOne) {
  lockstep_attach_message message{};
  lockstep_attach_set_header(&message.header, LOCKSTEP_ATTACH_GIVE_UP, 2, sizeof message.give_up);
  EXPECT_EQ(WrongIn(message, sizeof message.give_up, LOCKSTEP_ATTACH_FROM_RANK, 2), "");
  message.header.version = 1;
  EXPECT_EQ(WrongIn(message, sizeof message.give_up, LOCKSTEP_ATTACH_FROM_RANK, 1),
            "message of an unexpected type");
  lockstep_attach_set_header(&message.header, LOCKSTEP_ATTACH_NETWORK, 2, sizeof message.network);
  EXPECT_EQ(WrongIn(message, sizeof message.network, LOCKSTEP_ATTACH_FROM_AGENT, 2), "");
  message.network.first_port = 2;
  message.network.last_port = 1;
  EXPECT_EQ(WrongIn(message, sizeof message.network, LOCKSTEP_ATTACH_FROM_AGENT, 2),
            "ports out of order");
}

TEST(AttachWireTest, TextsOfTheAgentMustEnd) {
  lockstep_attach_message message{};
  lockstep_attach_set_header(&message.header, LOCKSTEP_ATTACH_WORLD, 1, sizeof message.world);
  message.world.world_size = message.world.local_world_size = 1;
  EXPECT_EQ(WrongIn(message, sizeof message.world, LOCKSTEP_ATTACH_FROM_AGENT), "");
  std::memset(message.world.host, 'x', sizeof message.world.host);
  EXPECT_EQ(WrongIn(message, sizeof message.world, LOCKSTEP_ATTACH_FROM_AGENT),
            "text without an end");
}

TEST(AttachWireTest, CookiesTravelAsText) {
  uint8_t cookie[LOCKSTEP_ATTACH_COOKIE_BYTES];
  for (size_t i = 0; i < sizeof cookie; ++i) cookie[i] = static_cast<uint8_t>(i * 9);
  char text[2 * LOCKSTEP_ATTACH_COOKIE_BYTES + 1];
  lockstep_attach_encode_cookie(cookie, text);
  uint8_t decoded[LOCKSTEP_ATTACH_COOKIE_BYTES];
  EXPECT_EQ(lockstep_attach_decode_cookie(text, decoded), 0);
  EXPECT_EQ(std::memcmp(cookie, decoded, sizeof cookie), 0);

  const std::string good(text);
  for (const std::string& bad :
       {std::string(), good.substr(1), good + "0", "g" + good.substr(1), good.substr(2) + "A0"}) {
    EXPECT_EQ(lockstep_attach_decode_cookie(bad.c_str(), decoded), -1) << bad;
  }
}

}  // namespace
