// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/carried_shim.h"

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

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
  // /proc is noexec everywhere, and nothing can be made there.
  EXPECT_FALSE(WriteNcclShim("/proc/shim.so").ok());
}

}  // namespace
}  // namespace lockstep::launcher
