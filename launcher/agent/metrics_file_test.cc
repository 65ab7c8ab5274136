// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/metrics_file.h"

#include <gtest/gtest.h>

#include <string>

#include "runtime/base/testing/status_matchers.h"
#include "runtime/storage/fake_file_system.h"

namespace lockstep::launcher {
namespace {

using storage::ReadText;

class MetricsFileTest : public ::testing::Test {
 protected:
  MetricsFileTest() { EXPECT_OK(files_.MakeDirectories("/metrics")); }
  std::string Text() {
    const auto text = ReadText(files_, "/metrics/job.prom", 100);
    return text.ok() ? *text : "none";
  }

  storage::FakeFileSystem files_;
};

TEST_F(MetricsFileTest, IsReplacedAsAWholeAndGoneAtTheEnd) {
  {
    MetricsFile file("/metrics/job.prom", files_);
    EXPECT_OK(file.Write("up 1\n"));
    EXPECT_OK(file.Write("up 2\n"));
    EXPECT_EQ(Text(), "up 2\n");
  }
  ASSERT_OK_AND_ASSIGN(const auto left, files_.ListDirectory("/metrics"));
  EXPECT_TRUE(left.empty());
}

TEST_F(MetricsFileTest, WhicheverCallFailsTheOldTextStandsAndNothingElseIsLeft) {
  MetricsFile file("/metrics/job.prom", files_);
  ASSERT_OK(file.Write("up 1\n"));
  for (int call = 1;; ++call) {
    files_.FailCall(call);
    const base::Status written = file.Write("up 2\n");
    files_.FailCall(0);
    ASSERT_OK_AND_ASSIGN(const auto names, files_.ListDirectory("/metrics"));
    EXPECT_EQ(names.size(), 1u);
    if (written.ok()) break;
    EXPECT_EQ(Text(), "up 1\n");
    EXPECT_NE(written.ToString().find("/metrics/job.prom"), std::string::npos);
    ASSERT_LT(call, 10);
  }
  EXPECT_EQ(Text(), "up 2\n");
}

TEST_F(MetricsFileTest, WhatItHasNotWrittenItDoesNotRemove) {
  MetricsFile others("/metrics/job.prom", files_);
  ASSERT_OK(others.Write("theirs\n"));
  {
    const MetricsFile file("/metrics/job.prom", files_);
  }
  EXPECT_EQ(Text(), "theirs\n");
}

}  // namespace
}  // namespace lockstep::launcher
