// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verdict/error_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::launcher {
namespace {

using base::Code;
using base::testing::StatusIs;
using ::testing::HasSubstr;

class ErrorFileTest : public ::testing::Test {
 protected:
  std::string Path(const std::string& name) const {
    return std::string(std::getenv("TEST_TMPDIR")) + "/" + name;
  }
  std::string Write(const std::string& name, const std::string& text) const {
    std::ofstream(Path(name)) << text;
    return Path(name);
  }
};

TEST_F(ErrorFileTest, NestedFormOfTorchIsRead) {
  const auto error =
      ReadErrorFile(Write("nested.json", R"({"message": {"message": "ValueError: bad",
      "extraInfo": {"py_callstack": "Traceback:\n  File\n", "timestamp": "1767225600"}}})"));

  ASSERT_OK(error);
  EXPECT_EQ(error->message, "ValueError: bad");
  EXPECT_EQ(error->traceback, "Traceback:\n  File\n");
  EXPECT_EQ(error->timestamp, 1767225600);
}

TEST_F(ErrorFileTest, FlatFormIsReadAndItsMessageKeepsItsFirstLine) {
  const auto error = ParseErrorFile(
      R"({"message": "RuntimeError: boom\nraised from", "timestamp": 1767225600.9})");

  ASSERT_OK(error);
  EXPECT_EQ(error->message, "RuntimeError: boom");
  EXPECT_EQ(error->traceback, "");
  EXPECT_EQ(error->timestamp, 1767225600);
}

TEST_F(ErrorFileTest, OtherShapesAreRefused) {
  for (const char* text : {"", "null", "[]", "7", "{}", R"({"message": 7})", R"({"message": {}})",
                           R"({"message": {"message": ""}})", R"({"message": "a)", "\xff\xfe"}) {
    EXPECT_THAT(ParseErrorFile(text), StatusIs(Code::kInvalidArgument)) << text;
  }
}

TEST_F(ErrorFileTest, DeepNestingIsRefusedNotFollowed) {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += R"({"message":)";

  EXPECT_THAT(ParseErrorFile(text), StatusIs(Code::kOutOfRange));
  EXPECT_THAT(ParseErrorFile(text.substr(0, text.size() / 2)), StatusIs(Code::kInvalidArgument));
}

TEST_F(ErrorFileTest, BytesThatAreNoTextComeOutAsQuestionMarks) {
  const auto error = ParseErrorFile("{\"message\": \"bad \xff \\u001b[31m\"}");

  ASSERT_OK(error);
  EXPECT_EQ(error->message, "bad ? ?[31m");
}

TEST_F(ErrorFileTest, LengthLimitIsTheLastLengthThatIsRead) {
  const std::string head = R"({"message": ")";
  const std::string tail = R"("})";
  const std::string fits =
      head + std::string(kErrorFileBytes - head.size() - tail.size(), 'x') + tail;

  EXPECT_OK(ReadErrorFile(Write("fits.json", fits)));
  EXPECT_THAT(ReadErrorFile(Write("long.json", fits + " ")), StatusIs(Code::kOutOfRange));
}

TEST_F(ErrorFileTest, WhatIsNoFileOfItsOwnIsRefusedAtOnce) {
  ASSERT_EQ(::mkfifo(Path("fifo").c_str(), 0600), 0);
  ASSERT_EQ(::symlink("/etc/passwd", Path("link").c_str()), 0);

  EXPECT_THAT(ReadErrorFile(Path("fifo")), StatusIs(Code::kInvalidArgument, HasSubstr("regular")));
  EXPECT_FALSE(ReadErrorFile(Path("link")).ok());
  EXPECT_FALSE(ReadErrorFile(std::getenv("TEST_TMPDIR")).ok());
  EXPECT_THAT(ReadErrorFile(Path("missing")), StatusIs(Code::kNotFound));
  EXPECT_THAT(ReadErrorFile(Write("empty", "")), StatusIs(Code::kNotFound));
}

}  // namespace
}  // namespace lockstep::launcher
