// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/output_budget.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "runtime/base/testing/status_matchers.h"
#include "runtime/process/rotating_file.h"
#include "runtime/process/testing/rotated_files.h"

namespace lockstep::process {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::Joined;
using testing::ReadWhole;
using testing::RotatedPieces;
using ::testing::SizeIs;

/// A budget with the files that keep to it.
class OutputBudgetTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = std::string(::getenv("TEST_TMPDIR")) + "/output_budget_XXXXXX";
    ASSERT_NE(::mkdtemp(root_.data()), nullptr);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void Make(FileLimits limits) {
    limits_ = limits;
    budget_ = std::make_unique<OutputBudget>(limits, nullptr,
                                             [this](const FileNotice& notice) { Note(notice); });
  }
  RotatingFile File(int round, const std::string& name) {
    std::filesystem::create_directories(Folder(round));
    return RotatingFile(
        Folder(round) + "/" + name, limits_,
        {.budget = budget_.get(), .on_notice = [this](const FileNotice& notice) { Note(notice); }});
  }
  std::string Folder(int round) const { return root_ + "/round-" + std::to_string(round); }
  std::string Text(int round, const std::string& name) const {
    return Joined(RotatedPieces(Folder(round) + "/" + name));
  }
  void Note(const FileNotice& notice) {
    const std::string folder = std::filesystem::path(notice.path).filename();
    notices_.push_back((notice.kind == FileNotice::Kind::kFull ? "full " : "removed ") + folder);
  }

  std::string root_;
  FileLimits limits_;
  std::unique_ptr<OutputBudget> budget_;
  std::vector<std::string> notices_;
};

TEST_F(OutputBudgetTest, AFolderIsFullWithTheLastLineThatFits) {
  Make({.total_bytes_max = 12});
  RotatingFile out = File(0, "rank-0.stdout");
  RotatingFile err = File(0, "rank-0.stderr");

  ASSERT_OK(out.Write("aaa\n"));
  ASSERT_OK(err.Write("bbb\nccc\nddd\neee"));
  ASSERT_OK(out.Write("f\n"));  // it would fit: but files have no gaps

  EXPECT_EQ(Text(0, "rank-0.stdout"), "aaa\n");
  EXPECT_EQ(Text(0, "rank-0.stderr"), "bbb\nccc\n");
  EXPECT_EQ(budget_->used_bytes(), 12u);
  EXPECT_EQ(budget_->unwritten_bytes(), 9u);
  EXPECT_THAT(notices_, ElementsAre("full round-0"));
}

TEST_F(OutputBudgetTest, AFullFolderTakesNotEvenWhatWouldFit) {
  Make({.total_bytes_max = 10});
  OutputBudget::Folder& folder = budget_->Enter(Folder(0) + "/rank-0.stdout");

  EXPECT_EQ(budget_->Admit(folder, "aaa\n"), 4u);
  EXPECT_EQ(budget_->Admit(folder, "bbbbbbb\n"), 0u);
  EXPECT_EQ(budget_->Admit(folder, "c\n"), 0u);

  EXPECT_EQ(budget_->used_bytes(), 4u);
}

TEST_F(OutputBudgetTest, AFileThatWouldBeginBeyondTheCapIsNotMade) {
  Make({.total_bytes_max = 4});
  RotatingFile out = File(0, "rank-0.stdout");
  RotatingFile err = File(0, "rank-0.stderr");

  ASSERT_OK(out.Write("aaa\nb"));
  ASSERT_OK(err.Write("x\n"));

  EXPECT_FALSE(std::filesystem::exists(Folder(0) + "/rank-0.stderr"));
  EXPECT_EQ(budget_->unwritten_bytes(), 3u);
}

TEST_F(OutputBudgetTest, TheOldestRoundsGoFirstAndOnlyAsManyAsMust) {
  Make({.total_bytes_max = 12});
  for (int round = 0; round < 3; ++round) {
    RotatingFile out = File(round, "rank-0.stdout");
    ASSERT_OK(out.Write("aaa\n"));
  }
  RotatingFile out = File(3, "rank-0.stdout");

  ASSERT_OK(out.Write("bbb\n"));
  EXPECT_THAT(notices_, ElementsAre("removed round-0"));
  EXPECT_EQ(Text(0, "rank-0.stdout"), "");
  EXPECT_EQ(Text(1, "rank-0.stdout"), "aaa\n");

  ASSERT_OK(out.Write("ccc\nddd\n"));
  EXPECT_THAT(notices_, ElementsAre("removed round-0", "removed round-1", "removed round-2"));
  EXPECT_EQ(Text(3, "rank-0.stdout"), "bbb\nccc\nddd\n");
  EXPECT_EQ(budget_->unwritten_bytes(), 0u);

  ASSERT_OK(out.Write("e"));
  EXPECT_THAT(notices_,
              ElementsAre("removed round-0", "removed round-1", "removed round-2", "full round-3"));
}

TEST_F(OutputBudgetTest, AFullRoundsSuccessorIsWrittenAgain) {
  Make({.total_bytes_max = 8});
  RotatingFile first = File(0, "rank-0.stdout");
  ASSERT_OK(first.Write("aaa\nbbb\nccc\n"));

  RotatingFile second = File(1, "rank-0.stdout");
  ASSERT_OK(second.Write("ddd\n"));

  EXPECT_THAT(notices_, ElementsAre("full round-0", "removed round-0"));
  EXPECT_EQ(Text(1, "rank-0.stdout"), "ddd\n");
}

TEST_F(OutputBudgetTest, WhatARemovedRoundStillSaysIsNotWritten) {
  Make({.total_bytes_max = 4});
  RotatingFile first = File(0, "rank-0.stdout");
  ASSERT_OK(first.Write("aaa\n"));
  RotatingFile second = File(1, "rank-0.stdout");
  ASSERT_OK(second.Write("bbb\n"));

  ASSERT_OK(first.Write("late\n"));

  EXPECT_FALSE(std::filesystem::exists(Folder(0) + "/rank-0.stdout"));
  EXPECT_EQ(budget_->unwritten_bytes(), 5u);
}

TEST_F(OutputBudgetTest, OnlyOwnFilesAreRemovedWithTheirOldOnes) {
  Make({.file_bytes_max = 4, .old_files_max = 3, .total_bytes_max = 16});
  RotatingFile first = File(0, "rank-0.stdout");
  ASSERT_OK(first.Write("aaa\nbbb\nccc\n"));
  for (const char* name : {"rank-1.stdout", "verdict.json", "rank-0.error.json"}) {
    std::ofstream(Folder(0) + "/" + name) << "of others";
  }

  RotatingFile second = File(1, "rank-0.stdout");
  ASSERT_OK(second.Write("ddd\neee\n"));

  EXPECT_THAT(RotatedPieces(Folder(0) + "/rank-0.stdout"), IsEmpty());
  EXPECT_EQ(ReadWhole(Folder(0) + "/rank-1.stdout"), "of others");
  EXPECT_TRUE(std::filesystem::exists(Folder(0) + "/verdict.json"));
  EXPECT_TRUE(std::filesystem::exists(Folder(0) + "/rank-0.error.json"));
  EXPECT_EQ(budget_->used_bytes(), 8u);
}

TEST_F(OutputBudgetTest, RotationMakesRoomForWhatItGivesUp) {
  // All that two streams ever keep fits to the byte, so nothing is ever refused.
  Make({.file_bytes_max = 8, .old_files_max = 2, .total_bytes_max = 2 * 3 * 8});
  RotatingFile out = File(0, "rank-0.stdout");
  RotatingFile err = File(0, "rank-0.stderr");

  for (int i = 0; i < 1000; ++i) {
    ASSERT_OK(out.Write("abc\n"));
    ASSERT_OK(err.Write("abcdefg\n"));
  }

  EXPECT_THAT(notices_, IsEmpty());
  EXPECT_EQ(budget_->used_bytes(), 2u * 3 * 8);
  EXPECT_THAT(RotatedPieces(Folder(0) + "/rank-0.stderr"), SizeIs(3));
}

TEST_F(OutputBudgetTest, AFileThatWasTakenAwayCountsNoMoreWhenItIsRotated) {
  Make({.file_bytes_max = 4, .old_files_max = 1, .total_bytes_max = 8});
  RotatingFile out = File(0, "rank-0.stdout");
  ASSERT_OK(out.Write("aaa\n"));
  std::filesystem::remove(Folder(0) + "/rank-0.stdout");

  ASSERT_OK(out.Write("bbb\nccc\n"));

  EXPECT_EQ(Text(0, "rank-0.stdout"), "bbb\nccc\n");
  EXPECT_EQ(budget_->used_bytes(), 8u);
}

TEST_F(OutputBudgetTest, WhatCannotBeRemovedGoesOnCounting) {
  Make({.total_bytes_max = 4});
  RotatingFile first = File(0, "rank-0.stdout");
  ASSERT_OK(first.Write("aaa\n"));
  // No privilege helps to unlink a folder.
  std::filesystem::remove(Folder(0) + "/rank-0.stdout");
  std::filesystem::create_directory(Folder(0) + "/rank-0.stdout");

  RotatingFile second = File(1, "rank-0.stdout");
  ASSERT_OK(second.Write("bbb\n"));

  EXPECT_EQ(budget_->used_bytes(), 4u);
  EXPECT_EQ(Text(1, "rank-0.stdout"), "");
  EXPECT_THAT(notices_, ElementsAre("full round-1"));
}

}  // namespace
}  // namespace lockstep::process
