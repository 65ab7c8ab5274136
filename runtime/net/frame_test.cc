// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/frame.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::net {
namespace {

using base::Code;
using base::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Frame(const std::string& payload) {
  std::string frame;
  AppendFrameHeader(payload.size(), &frame);
  return frame + payload;
}

class FrameDecoderTest : public ::testing::Test {
 protected:
  base::Status Feed(std::string_view bytes) {
    return decoder_.Feed(bytes, [this](std::string_view payload) {
      payloads_.emplace_back(payload);
      return true;
    });
  }

  FrameDecoder decoder_{100};
  std::vector<std::string> payloads_;
};

TEST_F(FrameDecoderTest, HeaderIsTheLengthInLittleEndian) {
  EXPECT_EQ(Frame("abc"), std::string("\x03\0\0\0abc", 7));
  EXPECT_EQ(Frame(std::string(0x010203, 'x')).substr(0, 4), std::string("\x03\x02\x01\0", 4));
}

TEST_F(FrameDecoderTest, AnyCutOfTheStreamGivesTheSamePayloads) {
  const std::string stream =
      Frame("first") + Frame("") + Frame(std::string(100, 'x')) + Frame("last");

  for (size_t first = 0; first <= stream.size(); ++first) {
    for (size_t second = first; second <= stream.size(); ++second) {
      payloads_.clear();
      ASSERT_OK(Feed(stream.substr(0, first)));
      ASSERT_OK(Feed(stream.substr(first, second - first)));
      ASSERT_OK(Feed(stream.substr(second)));
      ASSERT_THAT(payloads_, ElementsAre("first", "", std::string(100, 'x'), "last"));
      ASSERT_TRUE(decoder_.at_boundary());
    }
  }
}

TEST_F(FrameDecoderTest, ByteAfterByteWorks) {
  for (const char c : Frame("slow")) ASSERT_OK(Feed(std::string(1, c)));

  EXPECT_THAT(payloads_, ElementsAre("slow"));
}

TEST_F(FrameDecoderTest, FrameOverTheLimitEndsTheStream) {
  EXPECT_OK(Feed(Frame(std::string(100, 'x'))));

  EXPECT_THAT(Feed(Frame(std::string(101, 'x'))),
              StatusIs(Code::kResourceExhausted, HasSubstr("101")));
  EXPECT_THAT(Feed(Frame("good")), StatusIs(Code::kResourceExhausted));
  EXPECT_EQ(payloads_.size(), 1u);
}

TEST_F(FrameDecoderTest, AnnouncedLengthAllocatesNothing) {
  FrameDecoder decoder(size_t{1} << 31);
  std::string header;
  AppendFrameHeader(size_t{1} << 31, &header);

  ASSERT_OK(decoder.Feed(header + "ten bytes!", [](std::string_view) { return true; }));

  EXPECT_EQ(decoder.held_bytes(), 14u);
  EXPECT_FALSE(decoder.at_boundary());
}

TEST_F(FrameDecoderTest, ReceiverMayStopAndDestroyTheDecoder) {
  auto decoder = std::make_unique<FrameDecoder>();
  int calls = 0;

  ASSERT_OK(decoder->Feed(Frame("one") + Frame("two"), [&](std::string_view payload) {
    EXPECT_EQ(payload, "one");
    ++calls;
    decoder.reset();
    return false;
  }));

  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace lockstep::net
