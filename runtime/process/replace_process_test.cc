// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/replace_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::process {
namespace {

using base::Code;
using base::testing::StatusIs;
using ::testing::HasSubstr;

/// The wait status of a child in which `body` runs; 99 when that came back.
int StatusOfChild(const std::function<void()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    body();
    ::_exit(99);
  }
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return status;
}

class ReplaceProcessTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(::mkdtemp(folder_.data()), nullptr); }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string Write(const std::string& name, const std::string& text, mode_t mode) const {
    std::ofstream(folder_ + "/" + name) << text;
    EXPECT_EQ(::chmod((folder_ + "/" + name).c_str(), mode), 0);
    return folder_ + "/" + name;
  }

  std::string folder_ = "/tmp/lockstep_test_XXXXXX";
};

TEST_F(ReplaceProcessTest, TheProgramIsFoundOnThePathOfItsOwnEnvironment) {
  Write("lockstep-test-program", "#!/bin/sh\n[ \"$1$WORD\" = ab ] && exit 7\n", 0755);

  const int status = StatusOfChild([this] {
    (void)ReplaceProcess({"lockstep-test-program", "a"}, {"PATH=/nowhere:" + folder_, "WORD=b"});
  });

  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 7);
}

TEST_F(ReplaceProcessTest, IgnoredSignalsAndThePidStay) {
  const int status = StatusOfChild([] {
    ::signal(SIGTERM, SIG_IGN);
    (void)ReplaceProcess(
        {"/bin/sh", "-c", "kill -TERM $$; [ $$ = " + std::to_string(::getpid()) + " ] && exit 3"},
        {});
  });

  EXPECT_TRUE(WIFEXITED(status)) << status;
  EXPECT_EQ(WEXITSTATUS(status), 3);
}

TEST_F(ReplaceProcessTest, WhyItFailedIsSaidAndWeLiveOn) {
  EXPECT_THAT(ReplaceProcess({"lockstep-none"}, {"PATH=" + folder_}),
              StatusIs(Code::kNotFound, HasSubstr("on PATH (" + folder_ + ")")));
  EXPECT_THAT(ReplaceProcess({Write("script.py", "print()\n", 0644)}, {}),
              StatusIs(Code::kPermissionDenied, HasSubstr("chmod +x")));
  EXPECT_THAT(ReplaceProcess({Write("text", "no program\n", 0755)}, {}),
              StatusIs(Code::kInvalidArgument, HasSubstr("ENOEXEC")));
  EXPECT_THAT(ReplaceProcess({""}, {}), StatusIs(Code::kInvalidArgument));
  // A file that may not be executed does not hide one behind it that does not exist.
  EXPECT_THAT(ReplaceProcess({"script.py"}, {"PATH=" + folder_ + ":/nowhere"}),
              StatusIs(Code::kPermissionDenied));
}

}  // namespace
}  // namespace lockstep::process
