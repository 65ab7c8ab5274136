// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/jobs/jobs_root.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::launcher {
namespace {

using ::testing::HasSubstr;

class JobsRootTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::string(::getenv("TEST_TMPDIR")) + "/jobs_root_XXXXXX";
    ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
    environment_ = {.lockstep_home = folder_ + "/lockstep",
                    .xdg_state_home = folder_ + "/state",
                    .home = folder_ + "/home",
                    .temporary_root = folder_};
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string Fallback() const {
    return folder_ + "/lockstep-" + std::to_string(::geteuid()) + "/jobs";
  }

  std::string folder_;
  JobsRootEnvironment environment_;
};

TEST_F(JobsRootTest, FirstVariableThatIsSetDecides) {
  ASSERT_OK_AND_ASSIGN(JobsRoot root, FindJobsRoot(environment_, ::geteuid()));
  EXPECT_EQ(root.path, folder_ + "/lockstep/jobs");
  EXPECT_EQ(root.note, "");

  environment_.lockstep_home = "";
  ASSERT_OK_AND_ASSIGN(root, FindJobsRoot(environment_, ::geteuid()));
  EXPECT_EQ(root.path, folder_ + "/state/lockstep/jobs");

  environment_.xdg_state_home = "";
  ASSERT_OK_AND_ASSIGN(root, FindJobsRoot(environment_, ::geteuid()));
  EXPECT_EQ(root.path, folder_ + "/home/.local/state/lockstep/jobs");

  struct stat status{};
  ASSERT_EQ(::stat(root.path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700u);
}

TEST_F(JobsRootTest, WithoutHomeItLiesInTheTemporaryFolderAndSaysSo) {
  environment_ = {.temporary_root = folder_};

  ASSERT_OK_AND_ASSIGN(const JobsRoot root, FindJobsRoot(environment_, ::geteuid()));

  EXPECT_EQ(root.path, Fallback());
  EXPECT_THAT(root.note, HasSubstr("HOME is not set"));
  EXPECT_THAT(root.note, HasSubstr("LOCKSTEP_HOME"));
}

TEST_F(JobsRootTest, UnusableHomeIsNamedInTheNote) {
  std::ofstream(folder_ + "/home") << "a file";  // as unusable for root as for anybody
  environment_.lockstep_home = environment_.xdg_state_home = "";

  ASSERT_OK_AND_ASSIGN(const JobsRoot root, FindJobsRoot(environment_, ::geteuid()));

  EXPECT_EQ(root.path, Fallback());
  EXPECT_THAT(root.note, HasSubstr(folder_ + "/home"));
}

TEST_F(JobsRootTest, UnusableLockstepHomeIsAnError) {
  std::ofstream(folder_ + "/lockstep") << "a file";

  const auto root = FindJobsRoot(environment_, ::geteuid());

  ASSERT_FALSE(root.ok());
  EXPECT_THAT(root.status().message(), HasSubstr("LOCKSTEP_HOME"));
}

}  // namespace
}  // namespace lockstep::launcher
