// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/rotation_ledger.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>

#include "runtime/base/testing/status_matchers.h"
#include "runtime/process/rotating_file.h"

namespace lockstep::process {
namespace {

class RotationLedgerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::string(::getenv("TEST_TMPDIR")) + "/ledger_XXXXXX";
    ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
    path_ = folder_ + "/rank-0.stdout";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  RotationLedger::Stream Of(uint64_t given_up, uint64_t rotated, int rotations) {
    return {.given_up_bytes = given_up, .rotated_bytes = rotated, .rotations = rotations};
  }

  std::string folder_;
  std::string path_;
  RotationLedger ledger_;
};

TEST_F(RotationLedgerTest, TellsWhereFilesBegin) {
  RotatingFile file(path_, {.file_bytes_max = 4, .old_files_max = 2}, {.ledger = &ledger_});
  EXPECT_EQ(ledger_.Find(path_), Of(0, 0, 0));

  ASSERT_OK(file.Write("aaa\n"));
  EXPECT_EQ(ledger_.Find(path_), Of(0, 0, 0));
  ASSERT_OK(file.Write("bb\n"));
  EXPECT_EQ(ledger_.Find(path_), Of(0, 4, 1));
  EXPECT_FALSE(ledger_.HasGivenUp());
  ASSERT_OK(file.Write("ccc\nd\n"));
  EXPECT_EQ(ledger_.Find(path_), Of(4, 11, 3));
  EXPECT_TRUE(ledger_.HasGivenUp());
}

TEST_F(RotationLedgerTest, WhatWasTakenAwayIsGivenUp) {
  RotatingFile file(path_, {.file_bytes_max = 4, .old_files_max = 2}, {.ledger = &ledger_});
  ASSERT_OK(file.Write("aaa\n"));
  std::filesystem::remove(path_);

  ASSERT_OK(file.Write("bbb\n"));

  EXPECT_EQ(ledger_.Find(path_), Of(4, 4, 1));
}

TEST_F(RotationLedgerTest, OfRemovedFilesNothingIsKept) {
  const FileLimits limits{.file_bytes_max = 4, .old_files_max = 2, .total_bytes_max = 8};
  OutputBudget budget(limits, &ledger_, [](const FileNotice&) {});
  std::filesystem::create_directory(folder_ + "/next");
  RotatingFile file(path_, limits, {.budget = &budget, .ledger = &ledger_});
  RotatingFile next(folder_ + "/next/rank-0.stdout", limits,
                    {.budget = &budget, .ledger = &ledger_});

  ASSERT_OK(file.Write("aaa\nbbb\n"));
  EXPECT_EQ(ledger_.Find(path_), Of(0, 4, 1));
  ASSERT_OK(next.Write("ccc\n"));

  EXPECT_EQ(ledger_.Find(path_), Of(0, 0, 0));
}

}  // namespace
}  // namespace lockstep::process
