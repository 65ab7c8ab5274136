// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/carried_shim.h"

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::launcher {
namespace {

using base::Code;
using base::testing::IsOk;
using base::testing::StatusIs;
using ::testing::HasSubstr;

std::string FreshFolder(const std::string& name) {
  const std::string folder = ::testing::TempDir() + name;
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  return folder;
}

int FilesIn(const std::string& folder) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    EXPECT_TRUE(entry.is_regular_file());
    ++count;
  }
  return count;
}

TEST(CarriedShimTest, ItIsOneThatCanBeLoaded) {
  if (!CarriesNcclShim()) GTEST_SKIP() << "a build with a sanitizer carries none";
  const std::string path = FreshFolder("loaded") + "/liblockstep_nccl.so";
  std::ofstream(path) << "what was there before";

  ASSERT_THAT(WriteNcclShim(path), IsOk());

  EXPECT_EQ(FilesIn(::testing::TempDir() + "loaded"), 1);
  void* const shim = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(shim, nullptr) << ::dlerror();
  EXPECT_NE(::dlsym(shim, "ncclAllReduce"), nullptr);
  ::dlclose(shim);
}

TEST(CarriedShimTest, WhatCannotBeWrittenIsAnErrorAndLeavesNothing) {
  if (!CarriesNcclShim()) {
    EXPECT_THAT(WriteNcclShim("/tmp/none"), StatusIs(Code::kNotFound));
    return;
  }
  EXPECT_THAT(WriteNcclShim("/nowhere/shim.so"),
              StatusIs(Code::kNotFound, HasSubstr("unpack NCCL's shim to /nowhere/shim.so")));
  const std::string folder = FreshFolder("taken");
  std::filesystem::create_directories(folder + "/shim.so/inside");
  EXPECT_FALSE(WriteNcclShim(folder + "/shim.so").ok()) << "a folder is there";
  std::filesystem::remove_all(folder + "/shim.so");
  EXPECT_EQ(FilesIn(folder), 0);
  // Nothing can be made there.
  EXPECT_FALSE(WriteNcclShim("/proc/shim.so").ok());
}

/// In namespaces of its own, with a file system there of which nothing can be executed.
TEST(CarriedShimTest, WhereNothingCanBeLoadedFromIsAnErrorAndLeavesNothing) {
  if (!CarriesNcclShim()) GTEST_SKIP() << "a build with a sanitizer carries none";
  enum Result { kRefused, kNoNamespace, kTaken };
  const std::string folder = FreshFolder("noexec");
  const pid_t child = ::fork();
  if (child == 0) {
    const std::string ids[] = {"0 " + std::to_string(::getuid()) + " 1",
                               "0 " + std::to_string(::getgid()) + " 1"};
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) ::_exit(kNoNamespace);
    // Without these it makes no files.
    std::ofstream("/proc/self/setgroups") << "deny";
    std::ofstream("/proc/self/uid_map") << ids[0];
    std::ofstream("/proc/self/gid_map") << ids[1];
    if (::mount("none", folder.c_str(), "tmpfs", MS_NOEXEC, nullptr) != 0) ::_exit(kNoNamespace);
    const base::Status made = WriteNcclShim(folder + "/shim.so");
    const bool is_said = made.message().find("mounted noexec") != std::string::npos;
    ::_exit(is_said && FilesIn(folder) == 0 ? kRefused : kTaken);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  if (WEXITSTATUS(status) == kNoNamespace) GTEST_SKIP() << "no file system may be mounted here";
  EXPECT_EQ(WEXITSTATUS(status), kRefused);
}

}  // namespace
}  // namespace lockstep::launcher
