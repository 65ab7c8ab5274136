// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// The seam of FileSystem cannot tell whether the real one syncs: here its system calls are heard.
#include <errno.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "collectives/types.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/rank/checkpoint/checkpoint_store.h"
#include "runtime/storage/file_system.h"

namespace {

std::string* root = nullptr;  // what lies below it is heard of
std::vector<std::string>* heard = nullptr;
int sync_error = 0;       // of what ...
mode_t sync_refuses = 0;  // ... is of this type: S_IFDIR, S_IFREG

/// "a/b" of "ROOT/a/b"; "" of ROOT.
std::string BelowRoot(const std::string& path) {
  return path.size() > root->size() ? path.substr(root->size() + 1) : "";
}

void HearSync(int fd) {
  if (heard == nullptr) return;
  const std::string path =
      std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd)).string();
  if (!path.starts_with(*root)) return;
  struct stat info{};
  fstat(fd, &info);
  const std::string size = S_ISREG(info.st_mode) ? " " + std::to_string(info.st_size) : "";
  heard->push_back("sync " + BelowRoot(path) + size);
}

void HearRename(const char* from, const char* to) {
  if (heard == nullptr || !std::string(from).starts_with(*root)) return;
  heard->push_back("rename " + BelowRoot(from) + " " + BelowRoot(to));
}

}  // namespace

// In the place of the C library's.
extern "C" int fsync(int fd) {
  HearSync(fd);
  struct stat info{};
  if (sync_refuses != 0 && fstat(fd, &info) == 0 && (info.st_mode & S_IFMT) == sync_refuses) {
    errno = sync_error;
    return -1;
  }
  return static_cast<int>(syscall(SYS_fsync, fd));
}

extern "C" int rename(const char* from, const char* to) noexcept {
  HearRename(from, to);
  return static_cast<int>(syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
}

extern "C" int renameat2(int from_folder, const char* from, int to_folder, const char* to,
                         unsigned flags) noexcept {
  HearRename(from, to);
  return static_cast<int>(syscall(SYS_renameat2, from_folder, from, to_folder, to, flags));
}

namespace lockstep::rank {
namespace {

using base::Status;
using base::testing::IsOk;
using ::testing::ElementsAre;
using ::testing::Not;

class DurabilityTest : public ::testing::Test {
 protected:
  DurabilityTest() {
    std::string name = ::testing::TempDir() + "/durabilityXXXXXX";
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    root_ = std::filesystem::canonical(name).string();
    root = &root_;
    heard = &heard_;
  }
  ~DurabilityTest() override {
    heard = nullptr;
    sync_refuses = 0;
    std::filesystem::remove_all(root_);
  }

  std::unique_ptr<CheckpointStore> Open(const std::string& directory) {
    return std::move(CheckpointStore::Create({root_ + directory, 1}, files_)).value();
  }

  Status Write(CheckpointStore& store, int64_t step) {
    const std::vector<int64_t> value(1000, step);
    return store.Write(
        step, {}, {{"value", collectives::Dtype::kI64, {1000}, std::as_bytes(std::span(value))}});
  }

  std::vector<std::string> TakeHeard() { return std::exchange(heard_, {}); }
  /// " SIZE" of a checkpoint: each byte of it must be there when it is synced.
  std::string SizeOf(const std::string& path) {
    return " " + std::to_string(std::filesystem::file_size(root_ + path));
  }

  std::string root_;
  std::vector<std::string> heard_;
  storage::RealFileSystem files_;
};

TEST_F(DurabilityTest, NamesOfNewFoldersAreSynced) {
  Open("/a/b");

  EXPECT_THAT(TakeHeard(), ElementsAre("sync ", "sync a", "sync a"));
}

TEST_F(DurabilityTest, NameOfAFolderThatWasThereIsSynced) {
  std::filesystem::create_directory(root_ + "/a");

  Open("/a/");

  EXPECT_THAT(TakeHeard(), ElementsAre("sync "));
}

TEST_F(DurabilityTest, CheckpointIsOnTheDiskBeforeItHasItsNameAndTheNameBeforeTheEnd) {
  const auto store = Open("");
  TakeHeard();

  ASSERT_OK(Write(*store, 1));

  EXPECT_THAT(TakeHeard(),
              ElementsAre("sync ",
                          "sync step-1.tmp/state.safetensors" + SizeOf("/step-1/state.safetensors"),
                          "sync step-1.tmp", "rename step-1.tmp step-1", "sync "));
}

TEST_F(DurabilityTest, NewFileOfAnOldStepIsOnTheDiskBeforeItTakesItsPlace) {
  const auto store = Open("");
  ASSERT_OK(Write(*store, 1));
  TakeHeard();

  ASSERT_OK(Write(*store, 1));

  EXPECT_THAT(
      TakeHeard(),
      ElementsAre("sync ",
                  "sync step-1.tmp/state.safetensors" + SizeOf("/step-1/state.safetensors"),
                  "sync step-1.tmp", "rename step-1.tmp/state.safetensors step-1/state.safetensors",
                  "sync step-1"));
}

TEST_F(DurabilityTest, FoldersThatCannotBeSyncedAreNoErrorWhereNoneCan) {
  const auto store = Open("");
  sync_refuses = S_IFDIR;

  sync_error = EINVAL;  // as of CIFS
  EXPECT_OK(Write(*store, 1));
  sync_error = EIO;
  EXPECT_THAT(Write(*store, 2), Not(IsOk()));

  sync_refuses = S_IFREG;
  sync_error = EINVAL;
  EXPECT_THAT(Write(*store, 3), Not(IsOk()));
}

// The new one is safe by then.
TEST_F(DurabilityTest, OldOneIsRemovedLast) {
  const auto store = Open("");
  ASSERT_OK(Write(*store, 1));
  TakeHeard();

  ASSERT_OK(Write(*store, 2));

  const auto all = TakeHeard();
  ASSERT_EQ(all.size(), 6u);
  EXPECT_EQ(all[4], "sync ");
  EXPECT_EQ(all[5], "rename step-1 step-1.tmp");
}

}  // namespace
}  // namespace lockstep::rank
