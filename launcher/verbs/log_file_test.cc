// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verbs/log_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "launcher/verbs/testing/verb_fixture.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/process/rotated_name.h"
#include "runtime/process/rotating_file.h"

namespace lockstep::launcher {
namespace {

using base::Code;
using base::Rank;
using base::testing::StatusIs;
using ::testing::HasSubstr;

TEST(ParseLogFileNameTest, RankAndStream) {
  EXPECT_EQ(ParseLogFileName("rank-0.stdout"), (ParsedLogName{{Rank(0), false}, 0}));
  EXPECT_EQ(ParseLogFileName("rank-127.stderr"), (ParsedLogName{{Rank(127), true}, 0}));
  EXPECT_EQ(ParseLogFileName("rank-12.stderr.3"), (ParsedLogName{{Rank(12), true}, 3}));
}

TEST(ParseLogFileNameTest, OtherFilesAreNone) {
  for (const char* name :
       {"verdict.json", "rank-.stdout", "rank--1.stdout", "rank-1.stdout.tmp", "rank-1.stdout.",
        "rank-1.stdout.0", "rank-1.stdout.-1", "rank-1.stdout.1.1", "rank-1.stdoutx",
        "rank-1.error.json", "rank-99999999999.stdout", "xrank-1.stdout"}) {
    EXPECT_EQ(ParseLogFileName(name), std::nullopt) << name;
  }
}

class LogFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::string(::getenv("TEST_TMPDIR")) + "/log_XXXXXX";
    ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
    path_ = folder_ + "/rank-0.stdout";
    Append("");
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void Append(std::string_view text) { std::ofstream(path_, std::ios::app) << text; }
  /// As process::RotatingFile does.
  void Rotate(int old_files_max = 9) {
    for (int number = old_files_max - 1; number >= 0; --number) {
      const std::string from = process::RotatedName(path_, number);
      if (!std::filesystem::exists(from)) continue;
      std::filesystem::rename(from, process::RotatedName(path_, number + 1));
    }
  }
  LogFile Open(std::optional<std::string> prefix = std::nullopt) {
    return LogFile(path_, out_.file(), notes_.file(), std::move(prefix));
  }

  std::string folder_;
  std::string path_;
  CapturedOutput out_;
  CapturedOutput notes_;
};

TEST_F(LogFileTest, NewBytesArePrintedOnceAndAsTheyAre) {
  LogFile file = Open();
  Append("10%\r20%");
  ASSERT_OK(file.PrintNew());
  ASSERT_OK(file.PrintNew());
  Append("\r30%\n");
  ASSERT_OK(file.PrintNew());
  ASSERT_OK(file.Finish());

  EXPECT_EQ(out_.text(), "10%\r20%\r30%\n");
}

TEST_F(LogFileTest, PrefixedLinesArePrintedWhole) {
  LogFile file = Open("[3] ");
  Append("one\ntw");
  ASSERT_OK(file.PrintNew());
  EXPECT_EQ(out_.text(), "[3] one\n");

  Append("o\nthree");
  ASSERT_OK(file.PrintNew());
  EXPECT_EQ(out_.text(), "[3] one\n[3] two\n");

  ASSERT_OK(file.Finish());
  EXPECT_EQ(out_.text(), "[3] one\n[3] two\n[3] three\n");
}

TEST_F(LogFileTest, WhatWasRotatedComesInItsOrder) {
  for (const char* line : {"one\n", "two\n", "three\n"}) {
    Append(line);
    Rotate();
  }
  Append("four\n");
  LogFile file = Open();

  ASSERT_OK(file.PrintNew());
  ASSERT_OK(file.PrintNew());

  EXPECT_EQ(out_.text(), "one\ntwo\nthree\nfour\n");
  EXPECT_EQ(notes_.text(), "");
}

TEST_F(LogFileTest, ARotationIsFollowed) {
  LogFile file = Open();
  Append("one\n");
  ASSERT_OK(file.PrintNew());

  Append("two\n");
  Rotate();  // and no new file yet
  ASSERT_OK(file.PrintNew());
  EXPECT_EQ(out_.text(), "one\ntwo\n");

  Append("three\n");
  Rotate();
  Append("four\n");
  Rotate();
  Append("five\n");
  ASSERT_OK(file.PrintNew());
  ASSERT_OK(file.PrintNew());
  EXPECT_EQ(out_.text(), "one\ntwo\nthree\nfour\nfive\n");
  EXPECT_EQ(notes_.text(), "");
}

TEST_F(LogFileTest, ALineThatWasCutByARotationIsOneLine) {
  LogFile file = Open("[3] ");
  Append("on");
  Rotate();
  Append("e\ntwo\n");

  ASSERT_OK(file.PrintNew());

  EXPECT_EQ(out_.text(), "[3] one\n[3] two\n");
}

TEST_F(LogFileTest, WhatWasRemovedBeforeItWasSeenIsSaid) {
  LogFile file = Open();
  Append("one\n");
  ASSERT_OK(file.PrintNew());
  Append("lost\n");
  for (const char* line : {"two\n", "three\n"}) {
    Rotate(1);
    Append(line);
  }

  ASSERT_OK(file.PrintNew());

  EXPECT_EQ(out_.text(), "one\ntwo\nthree\n");
  EXPECT_THAT(notes_.text(), HasSubstr("a part of " + path_ + " was removed before"));
}

TEST_F(LogFileTest, ATailGoesBackOverRotatedFiles) {
  Append("one\ntwo\n");
  Rotate();
  Append("three\n");
  Rotate();
  LogFile file = Open();

  ASSERT_OK(file.SkipToTail(2));
  Append("four\n");
  ASSERT_OK(file.PrintNew());

  EXPECT_EQ(out_.text(), "two\nthree\nfour\n");
}

TEST_F(LogFileTest, AFileThatWasEmptiedIsReadFromItsBeginning) {
  LogFile file = Open();
  Append("one\n");
  ASSERT_OK(file.PrintNew());
  std::filesystem::resize_file(path_, 0);
  Append("2\n");

  ASSERT_OK(file.PrintNew());

  EXPECT_EQ(out_.text(), "one\n2\n");
}

// A writer that rotates as fast as it can, and a reader beside it.
TEST_F(LogFileTest, NothingIsLostOrDoubledWhileItIsRotated) {
  constexpr int kLines = 20'000;
  LogFile file = Open();
  std::atomic<bool> written = false;
  std::jthread writer([&] {
    // All of it is kept: what is removed before it is read is another test.
    process::RotatingFile rotating(path_, {.file_bytes_max = 10'000, .old_files_max = 99},
                                   {.on_notice = [](const process::FileNotice&) {}});
    for (int i = 0; i < kLines; ++i) EXPECT_OK(rotating.Write("line " + std::to_string(i) + "\n"));
    written = true;
  });
  bool was_written = false;
  do {
    was_written = written;
    ASSERT_OK(file.PrintNew());
  } while (!was_written);

  std::string expected;
  for (int i = 0; i < kLines; ++i) expected += "line " + std::to_string(i) + "\n";
  EXPECT_TRUE(out_.text() == expected) << out_.text().size() << " of " << expected.size();
  EXPECT_EQ(notes_.text(), "");
}

TEST_F(LogFileTest, FileThatIsMissingIsEmpty) {
  std::filesystem::remove(path_);
  LogFile file = Open("[3] ");

  EXPECT_OK(file.SkipToTail(3));
  EXPECT_OK(file.PrintNew());
  EXPECT_OK(file.Finish());

  EXPECT_EQ(out_.text(), "");
}

TEST_F(LogFileTest, OutputThatCannotBeWrittenIsAnError) {
  std::FILE* const full = std::fopen("/dev/full", "w");
  ASSERT_NE(full, nullptr);
  LogFile file(path_, full, notes_.file(), std::nullopt);
  Append("one\n");

  EXPECT_THAT(file.PrintNew(), StatusIs(Code::kResourceExhausted));

  std::fclose(full);
}

}  // namespace
}  // namespace lockstep::launcher
