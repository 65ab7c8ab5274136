// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/rank/checkpoint/file_system.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <cstdlib>
#include <filesystem>
#include <string_view>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::rank {
namespace {

using base::Code;
using base::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::span<const std::byte> Bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string Text(const std::vector<std::byte>& bytes) {
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

class RealFileSystemTest : public ::testing::Test {
 protected:
  RealFileSystemTest() {
    std::string name = ::testing::TempDir() + "/filesXXXXXX";
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    root_ = name;
  }
  ~RealFileSystemTest() override { std::filesystem::remove_all(root_); }

  std::string root_;
  RealFileSystem files_;
};

TEST_F(RealFileSystemTest, PartsAreReadBackAsOne) {
  const std::span<const std::byte> parts[] = {Bytes("lock"), Bytes(""), Bytes("step")};

  ASSERT_OK(files_.MakeDirectories(root_ + "/a/b/"));
  ASSERT_OK(files_.MakeDirectories(root_ + "/a/b"));
  ASSERT_OK(files_.WriteDurably(root_ + "/a/b/file", parts));
  ASSERT_OK(files_.SyncDirectory(root_ + "/a/b"));

  ASSERT_OK_AND_ASSIGN(const auto bytes, files_.ReadFile(root_ + "/a/b/file"));
  EXPECT_EQ(Text(bytes), "lockstep");
}

TEST_F(RealFileSystemTest, RenamedAndRemovedTreesAreGone) {
  ASSERT_OK(files_.MakeDirectories(root_ + "/z"));
  ASSERT_OK(files_.MakeDirectories(root_ + "/a/b"));
  ASSERT_OK(files_.Rename(root_ + "/a", root_ + "/c"));

  ASSERT_OK_AND_ASSIGN(auto names, files_.ListDirectory(root_));
  EXPECT_THAT(names, ElementsAre("c", "z"));

  ASSERT_OK(files_.RemoveTree(root_ + "/c"));
  ASSERT_OK(files_.RemoveTree(root_ + "/c"));
  ASSERT_OK_AND_ASSIGN(names, files_.ListDirectory(root_));
  EXPECT_THAT(names, ElementsAre("z"));
}

TEST_F(RealFileSystemTest, ErrorsNameThePathAndTheCause) {
  const std::span<const std::byte> parts[] = {Bytes("x")};
  ASSERT_OK(files_.WriteDurably(root_ + "/file", parts));

  EXPECT_THAT(files_.ReadFile(root_ + "/none"),
              StatusIs(Code::kNotFound, HasSubstr("/none: No such file")));
  EXPECT_THAT(files_.ReadFile(root_),
              StatusIs(Code::kInvalidArgument, HasSubstr("no regular file")));
  EXPECT_THAT(files_.ListDirectory(root_ + "/none"), StatusIs(Code::kNotFound, HasSubstr("/none")));
  EXPECT_THAT(files_.SyncDirectory(root_ + "/none"), StatusIs(Code::kNotFound, HasSubstr("/none")));
  EXPECT_THAT(files_.MakeDirectories(root_ + "/file/a"),
              StatusIs(Code::kAlreadyExists, HasSubstr("/file")));
  EXPECT_THAT(files_.WriteDurably(root_ + "/none/file", parts),
              StatusIs(Code::kNotFound, HasSubstr("/none/file")));
  EXPECT_THAT(files_.Rename(root_ + "/none", root_ + "/b"),
              StatusIs(Code::kNotFound, HasSubstr("/none to ")));
}

// RLIMIT_FSIZE ends a file in the middle as a full disk does, and needs no file system of its own.
TEST_F(RealFileSystemTest, FileThatCannotGrowIsAnError) {
  const std::string text(100'000, 'x');
  const std::span<const std::byte> parts[] = {Bytes(text)};
  struct rlimit old_limit;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old_limit), 0);
  struct rlimit limit = old_limit;
  limit.rlim_cur = 50'000;
  const auto old_handler = signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);

  const base::Status status = files_.WriteDurably(root_ + "/file", parts);

  setrlimit(RLIMIT_FSIZE, &old_limit);
  signal(SIGXFSZ, old_handler);
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(status.message(), HasSubstr("/file (100000 bytes, of which 50000 were written): "
                                          "File too large"));
}

}  // namespace
}  // namespace lockstep::rank
