// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/program_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::launcher {
namespace {

using base::testing::IsOkAndHolds;
using base::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class ProgramFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string folder = ::testing::TempDir() + "programXXXXXX";
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    folder_ = folder;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string Write(const std::string& name, mode_t mode, const std::string& text = "text") {
    const std::string path = folder_ + "/" + name;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path) << text;
    ::chmod(path.c_str(), mode);
    return path;
  }

  std::string folder_;
};

TEST_F(ProgramFileTest, ANameWithASlashCountsFromTheWorkingDirectory) {
  const std::string path = Write("bin/train", 0755);

  EXPECT_THAT(FindProgram({"bin/train"}, {}, folder_), IsOkAndHolds(path));
  EXPECT_THAT(FindProgram({path}, {}, "/nowhere"), IsOkAndHolds(path));
}

TEST_F(ProgramFileTest, ABareNameIsLookedUpOnPath) {
  Write("one/train", 0644);
  const std::string path = Write("two/train", 0755);

  EXPECT_THAT(FindProgram({"train"}, {{"PATH", folder_ + "/one:" + folder_ + "/two"}}, "/"),
              IsOkAndHolds(path));
}

TEST_F(ProgramFileTest, AScriptIsReadFromTheWorkingDirectoryAndNeedNotBeExecutable) {
  const std::string path = Write("train.py", 0644);

  EXPECT_THAT(FindProgram({"train.py", true}, {{"PATH", "/bin"}}, folder_), IsOkAndHolds(path));
}

TEST_F(ProgramFileTest, OneThatIsMissingIsToldWithTheCure) {
  EXPECT_THAT(FindProgram({"./train"}, {}, folder_),
              StatusIs(base::Code::kNotFound, HasSubstr("--stage")));
  EXPECT_THAT(FindProgram({"train"}, {{"PATH", folder_}}, "/"),
              StatusIs(base::Code::kNotFound, HasSubstr("no " + folder_ + "/train")));
}

TEST_F(ProgramFileTest, OneThatCannotBeExecutedIsToldWithTheCure) {
  Write("train", 0644);

  EXPECT_THAT(FindProgram({"./train"}, {}, folder_),
              StatusIs(base::Code::kPermissionDenied, HasSubstr("chmod +x")));
  EXPECT_THAT(FindProgram({"/"}, {}, folder_), StatusIs(base::Code::kPermissionDenied));
}

TEST_F(ProgramFileTest, FilesOfUsersAreComparedAndThoseOfTheSystemAreNot) {
  EXPECT_EQ(HashProgram(Write("abc", 0755, "abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_THAT(HashProgram("/bin/sh"), IsEmpty());
  EXPECT_THAT(HashProgram("/usr/bin/env"), IsEmpty());
  EXPECT_THAT(HashProgram(folder_), IsEmpty());
  EXPECT_THAT(HashProgram(folder_ + "/nothing"), IsEmpty());
}

TEST_F(ProgramFileTest, HugeFilesAreNotRead) {
  const std::string at_the_limit = Write("limit", 0755);
  std::filesystem::resize_file(at_the_limit, 256 << 20);
  const std::string beyond = Write("beyond", 0755);
  std::filesystem::resize_file(beyond, (256 << 20) + 1);

  EXPECT_THAT(HashProgram(at_the_limit), SizeIs(64));
  EXPECT_THAT(HashProgram(beyond), IsEmpty());
}

}  // namespace
}  // namespace lockstep::launcher
