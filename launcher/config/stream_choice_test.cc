// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/config/stream_choice.h"

#include <gtest/gtest.h>

namespace lockstep::launcher {
namespace {

TEST(StreamChoiceTest, OneDigitIsForEveryRank) {
  EXPECT_EQ(StreamChoiceOf("0"), "{everyRank: None, ranks: {}}");
  EXPECT_EQ(StreamChoiceOf("3"), "{everyRank: Both, ranks: {}}");
}

TEST(StreamChoiceTest, RanksMayHaveStreamsOfTheirOwn) {
  EXPECT_EQ(StreamChoiceOf("0:3,12:1"), "{everyRank: None, ranks: {0: Both, 12: Stdout}}");
  EXPECT_EQ(StreamChoiceOf("7:2,"), "{everyRank: None, ranks: {7: Stderr}}");
}

TEST(StreamChoiceTest, OtherTextsAreNone) {
  for (const char* text :
       {"", "4", "-1", "33", "0:4", ":3", "a:3", "0:", "0:3,,1:3", "123456:1", "0:3 ,1:3", ","}) {
    EXPECT_EQ(StreamChoiceOf(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace lockstep::launcher
