// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/storage/file_system.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string_view>

#include "runtime/base/testing/status_matchers.h"
#include "runtime/storage/fake_file_system.h"

namespace lockstep::storage {
namespace {

using base::Code;
using base::Result;
using base::Status;
using base::testing::IsOkAndHolds;
using base::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::span<const std::byte> Bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

Status Write(FileSystem& files, const std::string& path, std::string_view text,
             FileSystem::WriteOptions options = {}) {
  const std::span<const std::byte> parts[] = {Bytes(text)};
  return files.WriteFile(path, parts, options);
}

std::string NewFolder() {
  std::string name = ::testing::TempDir() + "/filesXXXXXX";
  EXPECT_NE(mkdtemp(name.data()), nullptr);
  return name;
}

/// What holds for every file system: over the real one and the fake.
class FileSystemContractTest : public ::testing::TestWithParam<bool> {
 protected:
  FileSystemContractTest() {
    if (GetParam()) {
      files_ = std::make_unique<RealFileSystem>();
      root_ = NewFolder();
    } else {
      files_ = std::make_unique<FakeFileSystem>();
      EXPECT_OK(files_->MakeDirectories(root_));
    }
  }
  ~FileSystemContractTest() override {
    if (GetParam()) std::filesystem::remove_all(root_);
  }

  Result<std::string> Read(const std::string& path) { return ReadText(*files_, path, 100); }

  std::unique_ptr<FileSystem> files_;
  std::string root_ = "/root";
};

TEST_P(FileSystemContractTest, PartsAreReadBackAsOne) {
  const std::span<const std::byte> parts[] = {Bytes("lock"), Bytes(""), Bytes("step")};

  ASSERT_OK(files_->MakeDirectories(root_ + "/a/b"));
  ASSERT_OK(files_->MakeDirectories(root_ + "/a/b"));
  ASSERT_OK(files_->WriteFile(root_ + "/a/b/file", parts, {.is_durable = true}));
  ASSERT_OK(files_->SyncDirectory(root_ + "/a/b"));

  EXPECT_THAT(Read(root_ + "/a/b/file"), IsOkAndHolds("lockstep"));
}

TEST_P(FileSystemContractTest, RenamedAndRemovedTreesAreGone) {
  ASSERT_OK(files_->MakeDirectory(root_ + "/z"));
  ASSERT_OK(files_->MakeDirectories(root_ + "/a/b"));
  ASSERT_OK(files_->Rename(root_ + "/a", root_ + "/c"));
  EXPECT_THAT(files_->ListDirectory(root_), IsOkAndHolds(ElementsAre("c", "z")));

  ASSERT_OK(files_->RemoveTree(root_ + "/c"));
  ASSERT_OK(files_->RemoveTree(root_ + "/c"));

  EXPECT_THAT(files_->ListDirectory(root_), IsOkAndHolds(ElementsAre("z")));
}

TEST_P(FileSystemContractTest, FileIsReplacedAndRemoved) {
  ASSERT_OK(ReplaceFile(*files_, root_ + "/file", "old and long"));
  ASSERT_OK(ReplaceFile(*files_, root_ + "/file", "new"));
  EXPECT_THAT(Read(root_ + "/file"), IsOkAndHolds("new"));
  EXPECT_THAT(files_->ListDirectory(root_), IsOkAndHolds(ElementsAre("file")));

  ASSERT_OK(files_->RemoveFile(root_ + "/file"));

  EXPECT_THAT(Read(root_ + "/file"), StatusIs(Code::kNotFound));
}

TEST_P(FileSystemContractTest, ReplacementThatFailsLeavesTheOldOneAlone) {
  ASSERT_OK(files_->MakeDirectories(root_ + "/file/in/the/way"));

  EXPECT_FALSE(ReplaceFile(*files_, root_ + "/file", "new").ok());

  EXPECT_THAT(files_->ListDirectory(root_), IsOkAndHolds(ElementsAre("file")));
}

TEST_P(FileSystemContractTest, WhatIsLongerThanTheLimitIsRefused) {
  ASSERT_OK(Write(*files_, root_ + "/file", "12345"));

  EXPECT_THAT(ReadText(*files_, root_ + "/file", 5), IsOkAndHolds("12345"));
  EXPECT_THAT(ReadText(*files_, root_ + "/file", 4),
              StatusIs(Code::kResourceExhausted, HasSubstr("longer than 4 bytes")));
}

TEST_P(FileSystemContractTest, ErrorsNameThePathAndTheirCodesAreThoseOfErrno) {
  ASSERT_OK(Write(*files_, root_ + "/file", "x"));
  ASSERT_OK(files_->MakeDirectory(root_ + "/folder"));
  const std::string none = root_ + "/none";

  EXPECT_THAT(Read(none), StatusIs(Code::kNotFound, HasSubstr(none)));
  EXPECT_THAT(Read(root_ + "/folder"),
              StatusIs(Code::kInvalidArgument, HasSubstr("no regular file")));
  EXPECT_THAT(files_->ListDirectory(none), StatusIs(Code::kNotFound, HasSubstr(none)));
  EXPECT_THAT(files_->ListDirectory(root_ + "/file"), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(files_->SyncDirectory(none), StatusIs(Code::kNotFound, HasSubstr(none)));
  EXPECT_THAT(files_->MakeDirectory(root_ + "/folder"),
              StatusIs(Code::kAlreadyExists, HasSubstr("/folder")));
  EXPECT_THAT(files_->MakeDirectory(none + "/a"), StatusIs(Code::kNotFound, HasSubstr(none)));
  EXPECT_THAT(files_->MakeDirectories(root_ + "/file/a"),
              StatusIs(Code::kAlreadyExists, HasSubstr("/file")));
  EXPECT_THAT(Write(*files_, none + "/file", "x"),
              StatusIs(Code::kNotFound, HasSubstr(none + "/file")));
  EXPECT_THAT(Write(*files_, root_ + "/folder", "x"), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(files_->Rename(none, root_ + "/b"), StatusIs(Code::kNotFound, HasSubstr(none)));
  EXPECT_THAT(files_->RemoveFile(none), StatusIs(Code::kNotFound, HasSubstr(none)));
  EXPECT_THAT(files_->RemoveFile(root_ + "/folder"), StatusIs(Code::kInvalidArgument));
}

INSTANTIATE_TEST_SUITE_P(RealAndFake, FileSystemContractTest, ::testing::Bool(),
                         [](const auto& test) { return test.param ? "Real" : "Fake"; });

class RealFileSystemTest : public ::testing::Test {
 protected:
  ~RealFileSystemTest() override { std::filesystem::remove_all(root_); }

  mode_t ModeOf(const std::string& path) {
    struct stat info{};
    EXPECT_EQ(lstat(path.c_str(), &info), 0) << path;
    return info.st_mode & 07777;
  }

  const std::string root_ = NewFolder();
  RealFileSystem files_;
};

TEST_F(RealFileSystemTest, ModesAreAsAskedLessTheUmask) {
  const mode_t old_mask = umask(022);
  ASSERT_OK(files_.MakeDirectory(root_ + "/private"));
  ASSERT_OK(files_.MakeDirectories(root_ + "/shared"));
  ASSERT_OK(Write(files_, root_ + "/file", "x"));
  ASSERT_OK(ReplaceFile(files_, root_ + "/replaced", "x"));
  umask(old_mask);

  EXPECT_EQ(ModeOf(root_ + "/private"), 0700u);
  EXPECT_EQ(ModeOf(root_ + "/shared"), 0755u);
  EXPECT_EQ(ModeOf(root_ + "/file"), 0644u);
  EXPECT_EQ(ModeOf(root_ + "/replaced"), 0600u);
}

TEST_F(RealFileSystemTest, SymbolicLinksAreNeitherWrittenThroughNorFollowed) {
  ASSERT_OK(files_.MakeDirectory(root_ + "/elsewhere"));
  ASSERT_OK(Write(files_, root_ + "/elsewhere/file", "kept"));
  ASSERT_OK(files_.MakeDirectory(root_ + "/tree"));
  std::filesystem::create_symlink(root_ + "/elsewhere", root_ + "/tree/link");
  std::filesystem::create_symlink(root_ + "/elsewhere/file", root_ + "/link");

  EXPECT_THAT(Write(files_, root_ + "/link", "x"), StatusIs(Code::kInvalidArgument));
  ASSERT_OK(files_.RemoveTree(root_ + "/tree"));

  EXPECT_THAT(ReadText(files_, root_ + "/elsewhere/file", 100), IsOkAndHolds("kept"));
}

TEST_F(RealFileSystemTest, PipeThatNobodyWritesToIsRefusedAtOnce) {
  ASSERT_EQ(mkfifo((root_ + "/pipe").c_str(), 0600), 0);

  EXPECT_THAT(files_.ReadFile(root_ + "/pipe", 100), StatusIs(Code::kInvalidArgument));
}

// RLIMIT_FSIZE ends a file in the middle as a full disk does, and needs no file system of its own.
TEST_F(RealFileSystemTest, FileThatCannotGrowIsAnErrorThatSaysHowFarItCame) {
  struct rlimit old_limit;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old_limit), 0);
  struct rlimit limit = old_limit;
  limit.rlim_cur = 50'000;
  const auto old_handler = signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);

  const Status status = Write(files_, root_ + "/file", std::string(100'000, 'x'));

  setrlimit(RLIMIT_FSIZE, &old_limit);
  signal(SIGXFSZ, old_handler);
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(status.message(),
              HasSubstr("/file (100000 bytes, of which 50000 were written): File too large"));
}

/// A durable file, another, and one whose name was never synced, after a power cut.
class FakePowerCutTest : public ::testing::Test {
 protected:
  FakePowerCutTest() {
    EXPECT_OK(files_.MakeDirectories("/d"));
    EXPECT_OK(Write(files_, "/d/durable", "x", {.is_durable = true}));
    EXPECT_OK(Write(files_, "/d/other", "x"));
    EXPECT_OK(files_.SyncDirectory("/d"));
    EXPECT_OK(Write(files_, "/d/late", "x", {.is_durable = true}));
  }

  FakeFileSystem files_;
};

TEST_F(FakePowerCutTest, OnlyWhatWasSyncedMayBeLeft) {
  files_.CutPower(FakeFileSystem::PowerCut::kOnlySynced);

  EXPECT_THAT(files_.ListDirectory("/d"), IsOkAndHolds(ElementsAre("durable", "other")));
  EXPECT_THAT(ReadText(files_, "/d/durable", 100), IsOkAndHolds("x"));
  EXPECT_THAT(ReadText(files_, "/d/other", 100), IsOkAndHolds(""));
}

TEST_F(FakePowerCutTest, OrEverything) {
  files_.CutPower(FakeFileSystem::PowerCut::kEverything);

  EXPECT_THAT(files_.ListDirectory("/d"), IsOkAndHolds(ElementsAre("durable", "late", "other")));
  EXPECT_THAT(ReadText(files_, "/d/other", 100), IsOkAndHolds("x"));
}

}  // namespace
}  // namespace lockstep::storage
