// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/base/json_string.h"

#include <gtest/gtest.h>

namespace lockstep::base {
namespace {

std::string Json(std::string_view text) {
  std::string json = "x";
  AppendJsonString(text, &json);
  return json;
}

TEST(JsonStringTest, TextStandsInQuotes) {
  EXPECT_EQ(Json(""), "x\"\"");
  EXPECT_EQ(Json("lr=0.1 \xc3\xa9"), "x\"lr=0.1 \xc3\xa9\"");
}

TEST(JsonStringTest, WhatWouldEndOrSteerItIsEscaped) {
  EXPECT_EQ(Json("a\"b\\c"), R"(x"a\"b\\c")");
  EXPECT_EQ(Json("a\nb\x1b[m\x7f"), R"(x"a\nb\u001b[m\u007f")");
  EXPECT_EQ(Json(std::string_view("\0", 1)), R"(x"\u0000")");
}

TEST(JsonStringTest, BytesThatAreNoTextAreReplaced) {
  EXPECT_EQ(Json("a\xffz"), "x\"a\xef\xbf\xbdz\"");
}

}  // namespace
}  // namespace lockstep::base
