// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/attach/shared_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "runtime/base/testing/in_a_child.h"
#include "runtime/base/testing/refused_call.h"

namespace {

using lockstep::base::testing::InAChild;
using lockstep::base::testing::RefuseCall;
using ::testing::HasSubstr;
using ::testing::StartsWith;

/// What the descriptor leads to, once it has proved to be what shared_memory.h promises; else what
/// is wrong with it.
std::string Examine(int fd, size_t bytes) {
  if (fd < 0) return strerrorname_np(errno);
  struct stat info;
  if (::fstat(fd, &info) != 0 || static_cast<size_t>(info.st_size) != bytes) return "another size";
  if (info.st_nlink > 1) return "has a name";
  if ((::fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0) return "is inherited by programs";
  char* const memory =
      static_cast<char*>(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  if (memory == MAP_FAILED) return "cannot be mapped";
  for (size_t i = 0; i < bytes; ++i) {
    if (memory[i] != 0) return "is not zeroed";
  }
  memory[bytes - 1] = 'x';
  char last = 0;
  if (::pread(fd, &last, 1, static_cast<off_t>(bytes - 1)) != 1 || last != 'x')
    return "is not shared";
  ::munmap(memory, bytes);
  return std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd));
}

int CountNames(const std::string& folder) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().filename().string().starts_with("lockstep-")) ++count;
  }
  return count;
}

TEST(SharedMemoryTest, IsZeroedUnnamedAndShared) {
  const int fd = lockstep_shared_memory_create("label", 10'000);

  const std::string path = Examine(fd, 10'000);
  ::close(fd);
  EXPECT_THAT(path, ::testing::AnyOf(StartsWith("/memfd:label"), StartsWith("/dev/shm/"))) << path;
}

// A rank that cut it down would be a SIGBUS for the others.
TEST(SharedMemoryTest, ItsSizeIsSealed) {
  const int fd = lockstep_shared_memory_create("label", 8192);
  const int seals = ::fcntl(fd, F_GET_SEALS);
  if (Examine(fd, 8192).starts_with("/dev/shm/")) {
    ::close(fd);
    GTEST_SKIP() << "no memfd here, and files have no seals";
  }
  EXPECT_EQ(seals, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
  EXPECT_EQ(::ftruncate(fd, 4096), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(::ftruncate(fd, 16384), -1);
  ::close(fd);
}

TEST(SharedMemoryTest, WithoutMemfdItLiesInDevShmAndLeavesNoName) {
  for (const int error : {ENOSYS, EPERM}) {
    const int names = CountNames("/dev/shm");
    const std::string path = InAChild([error]() -> std::string {
      if (!RefuseCall(SYS_memfd_create, error)) return "no filter";
      return Examine(lockstep_shared_memory_create("label", 10'000), 10'000);
    });
    EXPECT_THAT(path, StartsWith("/dev/shm/"));
    EXPECT_THAT(path, HasSubstr("(deleted)"));
    EXPECT_EQ(CountNames("/dev/shm"), names);
  }
}

TEST(SharedMemoryTest, OtherErrorsOfMemfdAreTold) {
  const std::string told = InAChild([]() -> std::string {
    if (!RefuseCall(SYS_memfd_create, EMFILE)) return "no filter";
    return Examine(lockstep_shared_memory_create("label", 10'000), 10'000);
  });
  EXPECT_EQ(told, "EMFILE");
}

/// Hides the folder from this process alone, below a small file system.
bool CoverWithSmallFileSystem(const char* folder) {
  return ::unshare(CLONE_NEWNS) == 0 &&
         ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mount("tmpfs", folder, "tmpfs", 0, "size=64k") == 0;
}

TEST(SharedMemoryTest, FullFileSystemIsAnErrorAtOnceUnlessTheNextFolderServes) {
  const std::string folder = std::filesystem::canonical(::getenv("TEST_TMPDIR"));
  const std::string told = InAChild([&folder]() -> std::string {
    constexpr size_t kBytes = 1 << 20;
    ::setenv("TMPDIR", folder.c_str(), 1);
    if (!CoverWithSmallFileSystem("/dev/shm")) return "SKIP";
    if (!RefuseCall(SYS_memfd_create, ENOSYS)) return "no filter";
    const std::string first = Examine(lockstep_shared_memory_create("label", kBytes), kBytes);
    ::setenv("TMPDIR", "/nonexistent", 1);
    if (!CoverWithSmallFileSystem("/tmp")) return "no second mount";
    return first + " then " + Examine(lockstep_shared_memory_create("label", kBytes), kBytes);
  });
  if (told == "SKIP") GTEST_SKIP() << "only root can mount";
  EXPECT_THAT(told, StartsWith(folder + "/"));
  EXPECT_THAT(told, ::testing::EndsWith(" then ENOSPC"));
}

}  // namespace
