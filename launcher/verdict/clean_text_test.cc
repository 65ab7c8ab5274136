// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verdict/clean_text.h"

#include <gtest/gtest.h>

namespace lockstep::launcher {
namespace {

using Lines = std::vector<std::string>;

TEST(CleanTextTest, TextStaysAsItIs) {
  EXPECT_EQ(CleanText("plain\nh\u00e9llo \u65e5\u672c \U0001f600"),
            "plain\nh\u00e9llo \u65e5\u672c \U0001f600");
}

TEST(CleanTextTest, WhatDrivesATerminalBecomesAQuestionMark) {
  EXPECT_EQ(CleanText("\x1b[31mred\x07"), "?[31mred?");
  EXPECT_EQ(CleanText("a\tb\r"), "a b?");
  EXPECT_EQ(CleanText("\u0085\u202e\u2066"), "???");
  EXPECT_EQ(CleanText(std::string_view("a\0b", 3)), "a?b");
}

TEST(CleanTextTest, EachByteThatIsNoUtf8BecomesAQuestionMark) {
  EXPECT_EQ(CleanText("\xff\xc3"), "??");
  EXPECT_EQ(CleanText("\xc0\xaf"), "??");            // overlong
  EXPECT_EQ(CleanText("\xe0\x80\xaf"), "???");       // overlong
  EXPECT_EQ(CleanText("\xf0\x80\x80\x80"), "????");  // overlong
  EXPECT_EQ(CleanText("\xed\xa0\x80"), "???");       // surrogate
  EXPECT_EQ(CleanText("\xf4\x90\x80\x80"), "????");  // beyond Unicode
  EXPECT_EQ(CleanText("\xe2\x82"), "??");            // cut off
}

TEST(ClipLineTest, KeepsWhatFitsAndMarksWhatDoesNot) {
  EXPECT_EQ(ClipLine("12345", 5), "12345");
  EXPECT_EQ(ClipLine("123456", 5), "12...");
  EXPECT_EQ(ClipLine("h\u00e9\u00e9\u00e9", 4), "h\u00e9\u00e9\u00e9");
  EXPECT_EQ(ClipLine("\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9", 5), "\u00e9\u00e9...");
  EXPECT_EQ(ClipLine("a\nb", 5), "a b");
  EXPECT_EQ(ClipLine("123456", 2), "12");
}

TEST(WrapLineTest, BreaksAtSpacesElseAnywhereAndClipsTheLastLine) {
  EXPECT_EQ(WrapLine("one two three", 7, 3), (Lines{"one two", "three"}));
  EXPECT_EQ(WrapLine("/a/long/path", 7, 3), (Lines{"/a/long", "/path"}));
  EXPECT_EQ(WrapLine("one two three four", 7, 2), (Lines{"one two", "thre..."}));
  EXPECT_EQ(WrapLine("", 7, 2), (Lines{""}));
}

TEST(LinesOfTest, EmptyLinesAreLeftOut) {
  EXPECT_EQ(LinesOf("a\n\nb\n"), (Lines{"a", "b"}));
  EXPECT_EQ(LinesOf(""), Lines());
}

}  // namespace
}  // namespace lockstep::launcher
