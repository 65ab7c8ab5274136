// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/rotating_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "runtime/base/random.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/process/testing/rotated_files.h"

namespace lockstep::process {
namespace {

using base::Code;
using base::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::Joined;
using testing::ReadWhole;
using testing::RotatedPieces;
using ::testing::SizeIs;

class RotatingFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::string(::getenv("TEST_TMPDIR")) + "/rotating_file_XXXXXX";
    ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
    path_ = folder_ + "/rank-3.stdout";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  RotatingFile Make(uint64_t file_bytes_max, int old_files_max = 100) {
    return RotatingFile(
        path_, {.file_bytes_max = file_bytes_max, .old_files_max = old_files_max},
        {.on_notice = [this](const FileNotice& notice) { notices_.push_back(notice); }});
  }
  std::vector<std::string> Pieces() const { return RotatedPieces(path_); }

  std::string folder_;
  std::string path_;
  std::vector<FileNotice> notices_;
};

TEST_F(RotatingFileTest, WithoutALimitItIsOneFile) {
  RotatingFile file = Make(0);

  for (int i = 0; i < 100; ++i) ASSERT_OK(file.Write("line\n"));

  EXPECT_THAT(Pieces(), ElementsAre(SizeIs(500)));
}

TEST_F(RotatingFileTest, LinesAreWholeAndTheYoungestOldFileIsNumberOne) {
  RotatingFile file = Make(10);

  ASSERT_OK(file.Write("one\ntwo\n"));
  ASSERT_OK(file.Write("three\nfour\nfive"));
  EXPECT_EQ(ReadWhole(path_ + ".2"), "one\ntwo\n");
  EXPECT_EQ(ReadWhole(path_ + ".1"), "three\n");
  EXPECT_EQ(ReadWhole(path_), "four\nfive");

  ASSERT_OK(file.Write("\nsix\n"));
  EXPECT_THAT(Pieces(), ElementsAre("one\ntwo\n", "three\n", "four\nfive\n", "six\n"));
}

TEST_F(RotatingFileTest, AFullFileIsRotatedWhenMoreComes) {
  RotatingFile file = Make(8);

  ASSERT_OK(file.Write("one\ntwo\n"));
  EXPECT_THAT(Pieces(), ElementsAre("one\ntwo\n"));

  ASSERT_OK(file.Write("3"));
  EXPECT_THAT(Pieces(), ElementsAre("one\ntwo\n", "3"));
}

TEST_F(RotatingFileTest, TheOldestIsGivenUp) {
  RotatingFile file = Make(4, 2);

  for (const char* line : {"aaa\n", "bbb\n", "ccc\n", "ddd\n", "eee\n"}) {
    ASSERT_OK(file.Write(line));
  }

  EXPECT_THAT(Pieces(), ElementsAre("ccc\n", "ddd\n", "eee\n"));
}

TEST_F(RotatingFileTest, ALineThatFitsIntoNoFileMakesItsOwnLonger) {
  RotatingFile file = Make(10);
  const std::string line = std::string(1000, 'x') + "\n";

  ASSERT_OK(file.Write("short\n" + line.substr(0, 500)));
  ASSERT_OK(file.Write(line.substr(500) + "next\n"));

  EXPECT_THAT(Pieces(), ElementsAre("short\n", line, "next\n"));
}

TEST_F(RotatingFileTest, ALineBeyondAllBoundsIsCut) {
  RotatingFile file = Make(10);
  const size_t longest = 10 + RotatingFile::kLineBytesMax;

  ASSERT_OK(file.Write(std::string(longest, 'x')));
  ASSERT_OK(file.Write("y\nnext\n"));

  EXPECT_THAT(Pieces(), ElementsAre(std::string(longest, 'x'), "y\nnext\n"));
}

TEST_F(RotatingFileTest, NoByteIsLostOrDoubledWhateverIsWritten) {
  base::Random random(20260417);
  for (int round = 0; round < 200; ++round) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directory(folder_);
    const uint64_t limit = 1 + random.Below(2000);
    std::string text;
    while (text.size() < 20 * limit) {
      text +=
          std::string(random.Below(random.Below(8) == 0 ? 3 * limit : limit / 4 + 2), 'x') + "\n";
    }
    RotatingFile file = Make(limit);
    for (size_t at = 0; at < text.size();) {
      const size_t size = std::min(text.size() - at, 1 + random.Below(2 * limit));
      ASSERT_OK(file.Write(std::string_view(text).substr(at, size)));
      at += size;
    }

    const std::vector<std::string> pieces = Pieces();
    ASSERT_EQ(Joined(pieces), text);
    for (const std::string& piece : pieces) {
      ASSERT_TRUE(piece.ends_with('\n'));
      // Its last line at most goes beyond.
      const size_t last_line = piece.rfind('\n', piece.size() - 2);
      ASSERT_TRUE(last_line == std::string::npos || last_line < limit) << piece;
    }
  }
}

TEST_F(RotatingFileTest, WhatIsThereCounts) {
  ASSERT_OK(Make(10).Write("12345\n"));

  RotatingFile again = Make(10);
  ASSERT_OK(again.Write("6\n"));
  ASSERT_OK(again.Write("789\n"));

  EXPECT_THAT(Pieces(), ElementsAre("12345\n6\n", "789\n"));
}

TEST_F(RotatingFileTest, AFileThatWasTakenAwayIsBegunAnew) {
  RotatingFile file = Make(4);
  ASSERT_OK(file.Write("aaa\n"));
  std::filesystem::remove(path_);

  ASSERT_OK(file.Write("bbb\n"));

  EXPECT_THAT(Pieces(), ElementsAre("bbb\n"));
  EXPECT_THAT(notices_, IsEmpty());
}

TEST_F(RotatingFileTest, AFolderThatWasTakenAwayIsAnError) {
  RotatingFile file = Make(4);
  ASSERT_OK(file.Write("aaa\n"));
  std::filesystem::remove_all(folder_);

  EXPECT_THAT(file.Write("bbb\n"), StatusIs(Code::kNotFound, HasSubstr("open " + path_)));
}

TEST_F(RotatingFileTest, AFileWhoseNameCannotBeChangedGrowsOnAndIsTriedAgain) {
  // No privilege helps to rename a file over a folder.
  std::filesystem::create_directory(path_ + ".1");
  RotatingFile file = Make(4, 1);

  ASSERT_OK(file.Write("aaa\nbbb\n"));
  ASSERT_THAT(notices_, SizeIs(1));
  EXPECT_EQ(notices_[0].kind, FileNotice::Kind::kNotRotated);
  EXPECT_EQ(notices_[0].path, path_);
  EXPECT_THAT(notices_[0].why.message(), HasSubstr("rename " + path_ + " to " + path_ + ".1"));
  EXPECT_EQ(ReadWhole(path_), "aaa\nbbb\n");

  std::filesystem::remove(path_ + ".1");
  ASSERT_OK(file.Write("ccc\n"));
  EXPECT_THAT(Pieces(), ElementsAre("aaa\nbbb\n", "ccc\n"));
}

TEST_F(RotatingFileTest, AFileThatCannotBeRotatedTakesLinesThatFitIntoNoFile) {
  // A regression: it tried for ever.
  std::filesystem::create_directory(path_ + ".1");
  RotatingFile file = Make(4, 1);

  ASSERT_OK(file.Write("one\nlonger\n" + std::string(RotatingFile::kLineBytesMax + 100, 'x')));
  ASSERT_OK(file.Write("\ntwo\n"));

  EXPECT_THAT(ReadWhole(path_), ::testing::StartsWith("one\nlonger\nxxx"));
  EXPECT_THAT(ReadWhole(path_), ::testing::EndsWith("xxx\ntwo\n"));
}

TEST_F(RotatingFileTest, ARefusalInTheMiddleGivesUpNothing) {
  RotatingFile file = Make(4, 3);
  for (const char* line : {"aaa\n", "bbb\n", "ccc\n"}) ASSERT_OK(file.Write(line));
  std::filesystem::rename(path_ + ".1", folder_ + "/ccc");
  std::filesystem::create_directory(path_ + ".3");  // .2 cannot be renamed over it

  ASSERT_OK(file.Write("ddd\n"));

  EXPECT_THAT(notices_, SizeIs(1));
  EXPECT_EQ(ReadWhole(path_ + ".2"), "aaa\n");
  EXPECT_EQ(ReadWhole(path_), "ccc\nddd\n");
}

}  // namespace
}  // namespace lockstep::process
