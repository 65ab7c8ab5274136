// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/carried_shim.h"

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <string>
#include <vector>

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

std::string PathIn(const std::string& folder) {
  return NcclShimFolder(folder) + "/" + kNcclShimFile;
}

TEST(CarriedShimTest, ItIsOneThatCanBeLoaded) {
  if (!CarriesNcclShim()) GTEST_SKIP() << "a build with a sanitizer carries none";
  const std::string folder = FreshFolder("loaded");

  ASSERT_THAT(WriteNcclShim(folder), IsOk());

  EXPECT_EQ(FilesIn(NcclShimFolder(folder)), 1);
  void* const shim = ::dlopen(PathIn(folder).c_str(), RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(shim, nullptr) << ::dlerror();
  EXPECT_NE(::dlsym(shim, "ncclAllReduce"), nullptr);
  ::dlclose(shim);
}

/// Ranks of another node may have it mapped, over NFS.
TEST(CarriedShimTest, TheOneThatIsThereStays) {
  if (!CarriesNcclShim()) GTEST_SKIP() << "a build with a sanitizer carries none";
  const std::string folder = FreshFolder("stays");
  ASSERT_THAT(WriteNcclShim(folder), IsOk());
  struct stat before{}, after{};
  ASSERT_EQ(::stat(PathIn(folder).c_str(), &before), 0);

  ASSERT_THAT(WriteNcclShim(folder), IsOk());

  ASSERT_EQ(::stat(PathIn(folder).c_str(), &after), 0);
  EXPECT_EQ(after.st_ino, before.st_ino);
  EXPECT_EQ(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
  EXPECT_EQ(FilesIn(NcclShimFolder(folder)), 1);
}

TEST(CarriedShimTest, ManyAgentsAtOnceMakeOne) {
  if (!CarriesNcclShim()) GTEST_SKIP() << "a build with a sanitizer carries none";
  const std::string folder = FreshFolder("many");
  std::vector<std::future<base::Status>> agents;
  for (int agent = 0; agent < 8; ++agent)
    agents.push_back(std::async(std::launch::async, [folder] { return WriteNcclShim(folder); }));

  for (auto& agent : agents) EXPECT_THAT(agent.get(), IsOk());

  EXPECT_EQ(FilesIn(NcclShimFolder(folder)), 1);
  EXPECT_THAT(WriteNcclShim(folder), IsOk());
}

TEST(CarriedShimTest, SomethingElseInItsPlaceIsLeftThereAndSaid) {
  if (!CarriesNcclShim()) GTEST_SKIP() << "a build with a sanitizer carries none";
  const std::string folder = FreshFolder("else");
  std::filesystem::create_directories(NcclShimFolder(folder));
  std::ofstream(PathIn(folder)) << "what was there before";

  EXPECT_THAT(WriteNcclShim(folder),
              StatusIs(Code::kFailedPrecondition, HasSubstr("something else is there")));

  EXPECT_EQ(std::filesystem::file_size(PathIn(folder)), 21u);
  ASSERT_THAT(WriteNcclShim(FreshFolder("else_size")), IsOk());
  std::filesystem::copy_file(PathIn(::testing::TempDir() + "else_size"), PathIn(folder),
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_THAT(WriteNcclShim(folder), IsOk()) << "whoever has put it there";
  std::fstream(PathIn(folder)) << "?";
  EXPECT_FALSE(WriteNcclShim(folder).ok()) << "of the same size";
}

TEST(CarriedShimTest, WhatCannotBeWrittenIsAnErrorAndLeavesNothing) {
  if (!CarriesNcclShim()) {
    EXPECT_THAT(WriteNcclShim("/tmp/none"), StatusIs(Code::kNotFound));
    return;
  }
  EXPECT_THAT(WriteNcclShim("/nowhere"),
              StatusIs(Code::kNotFound, HasSubstr("unpack NCCL's shim to /nowhere/shim-")));
  const std::string folder = FreshFolder("taken");
  std::filesystem::create_directories(PathIn(folder) + "/inside");
  EXPECT_FALSE(WriteNcclShim(folder).ok()) << "a folder is there";
  std::filesystem::remove_all(NcclShimFolder(folder));
  std::ofstream(NcclShimFolder(folder)) << "a file";
  EXPECT_FALSE(WriteNcclShim(folder).ok());
  EXPECT_EQ(FilesIn(folder), 1);
  // Nothing can be made there.
  EXPECT_FALSE(WriteNcclShim("/proc").ok());
}

/// In namespaces of its own, with a file system there of which nothing can be executed.
TEST(CarriedShimTest, WhereNothingCanBeLoadedFromIsAnErrorAndLeavesNothing) {
  if (!CarriesNcclShim()) GTEST_SKIP() << "a build with a sanitizer carries none";
  enum Result { kRefused = 3, kNoNamespace, kTaken };
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
    const base::Status made = WriteNcclShim(folder);
    const bool is_said = made.message().find("mounted noexec") != std::string::npos;
    ::_exit(is_said && FilesIn(folder) == 0 ? kRefused : kTaken);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status)) << status;
  if (WEXITSTATUS(status) == kNoNamespace) GTEST_SKIP() << "no file system may be mounted here";
  EXPECT_EQ(WEXITSTATUS(status), kRefused);
}

}  // namespace
}  // namespace lockstep::launcher
