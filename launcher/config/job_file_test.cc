// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/config/job_file.h"

#include <gtest/gtest.h>

#include <fstream>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::launcher {
namespace {

using base::Code;
using base::testing::StatusIs;
using ::testing::HasSubstr;

std::string FileOf(size_t bytes) {
  const std::string path = ::testing::TempDir() + "/job.yaml";
  std::ofstream(path) << std::string(bytes, 'a');
  return path;
}

TEST(JobFileTest, ReadsAFileUpToItsLimit) {
  const std::string path = FileOf(256 * 1024);
  ASSERT_OK_AND_ASSIGN(const JobFile file, ReadJobFile(path));
  EXPECT_EQ(file.name, path);
  EXPECT_EQ(file.text.size(), 256u * 1024);

  EXPECT_THAT(ReadJobFile(FileOf(256 * 1024 + 1)),
              StatusIs(Code::kInvalidArgument, HasSubstr("262144 bytes, the limit")));
}

TEST(JobFileTest, AnEndlessFileIsNotReadToItsEnd) {
  EXPECT_THAT(ReadJobFile("/dev/zero"), StatusIs(Code::kInvalidArgument));
}

TEST(JobFileTest, SaysWhyItCannotBeRead) {
  EXPECT_THAT(
      ReadJobFile("/nonexistent/job.yaml"),
      StatusIs(Code::kInvalidArgument, HasSubstr("open the job file /nonexistent/job.yaml")));
  EXPECT_THAT(ReadJobFile("/tmp"), StatusIs(Code::kInvalidArgument, HasSubstr("read /tmp")));
}

}  // namespace
}  // namespace lockstep::launcher
