// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verbs/log_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "launcher/verbs/testing/verb_fixture.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::launcher {
namespace {

using base::Code;
using base::Rank;
using base::testing::StatusIs;

TEST(ParseLogFileNameTest, RankAndStream) {
  EXPECT_EQ(ParseLogFileName("rank-0.stdout"), (LogFileName{Rank(0), false}));
  EXPECT_EQ(ParseLogFileName("rank-127.stderr"), (LogFileName{Rank(127), true}));
}

TEST(ParseLogFileNameTest, OtherFilesAreNone) {
  for (const char* name : {"verdict.json", "rank-.stdout", "rank--1.stdout", "rank-1.stdout.tmp",
                           "rank-1.error.json", "rank-99999999999.stdout", "xrank-1.stdout"}) {
    EXPECT_EQ(ParseLogFileName(name), std::nullopt) << name;
  }
}

class LogFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = std::string(::getenv("TEST_TMPDIR")) + "/log_XXXXXX";
    const base::UniqueFd fd(::mkstemp(path_.data()));
    ASSERT_TRUE(fd.valid());
  }
  void TearDown() override { std::filesystem::remove(path_); }

  void Append(std::string_view text) { std::ofstream(path_, std::ios::app) << text; }
  std::string Tail(uint64_t lines) {
    const base::UniqueFd fd(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
    const auto size = static_cast<off_t>(std::filesystem::file_size(path_));
    std::ifstream file(path_);
    file.seekg(TailOffset(fd.get(), size, lines));
    return std::string(std::istreambuf_iterator<char>(file), {});
  }

  std::string path_;
  CapturedOutput out_;
};

TEST_F(LogFileTest, TailIsTheLastLines) {
  Append("one\ntwo\nthree\n");

  EXPECT_EQ(Tail(0), "");
  EXPECT_EQ(Tail(1), "three\n");
  EXPECT_EQ(Tail(2), "two\nthree\n");
  EXPECT_EQ(Tail(3), "one\ntwo\nthree\n");
  EXPECT_EQ(Tail(99), "one\ntwo\nthree\n");
}

TEST_F(LogFileTest, LineWithoutAnEndIsALine) {
  Append("one\ntwo");

  EXPECT_EQ(Tail(1), "two");
}

TEST_F(LogFileTest, EmptyLinesAreLines) {
  Append("one\n\n\n");

  EXPECT_EQ(Tail(2), "\n\n");
}

TEST_F(LogFileTest, TailOfAnEmptyFileIsEmpty) { EXPECT_EQ(Tail(3), ""); }

TEST_F(LogFileTest, TailReadsBackOverManyBlocks) {
  const std::string long_line(200'000, 'x');
  Append("first\n" + long_line + "\nlast\n");

  EXPECT_EQ(Tail(2), long_line + "\nlast\n");
  EXPECT_EQ(Tail(3), "first\n" + long_line + "\nlast\n");
}

TEST_F(LogFileTest, NewBytesArePrintedOnceAndAsTheyAre) {
  LogFile file(path_, out_.file(), std::nullopt);
  Append("10%\r20%");
  ASSERT_OK(file.PrintNew());
  ASSERT_OK(file.PrintNew());
  Append("\r30%\n");
  ASSERT_OK(file.PrintNew());
  ASSERT_OK(file.Finish());

  EXPECT_EQ(out_.text(), "10%\r20%\r30%\n");
}

TEST_F(LogFileTest, PrefixedLinesArePrintedWhole) {
  LogFile file(path_, out_.file(), "[3] ");
  Append("one\ntw");
  ASSERT_OK(file.PrintNew());
  EXPECT_EQ(out_.text(), "[3] one\n");

  Append("o\nthree");
  ASSERT_OK(file.PrintNew());
  EXPECT_EQ(out_.text(), "[3] one\n[3] two\n");

  ASSERT_OK(file.Finish());
  EXPECT_EQ(out_.text(), "[3] one\n[3] two\n[3] three\n");
}

TEST_F(LogFileTest, FileThatIsMissingIsEmpty) {
  std::filesystem::remove(path_);
  LogFile file(path_, out_.file(), "[3] ");

  EXPECT_OK(file.SkipToTail(3));
  EXPECT_OK(file.PrintNew());
  EXPECT_OK(file.Finish());

  EXPECT_EQ(out_.text(), "");
}

TEST_F(LogFileTest, OutputThatCannotBeWrittenIsAnError) {
  std::FILE* const full = std::fopen("/dev/full", "w");
  ASSERT_NE(full, nullptr);
  LogFile file(path_, full, std::nullopt);
  Append("one\n");

  EXPECT_THAT(file.PrintNew(), StatusIs(Code::kResourceExhausted));

  std::fclose(full);
}

}  // namespace
}  // namespace lockstep::launcher
