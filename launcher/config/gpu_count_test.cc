// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/config/gpu_count.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace lockstep::launcher {
namespace {

TEST(GpuCountTest, CountsDeviceNodesThatAreVisible) {
  const std::string folder = ::testing::TempDir() + "/dev";
  std::filesystem::create_directories(folder);
  for (const char* name :
       {"nvidia0", "nvidia1", "nvidia10", "nvidiactl", "nvidia-uvm", "nvidia", "null"}) {
    std::ofstream(folder + "/" + name);
  }

  EXPECT_EQ(GpuCount(folder, {}), 3);
  EXPECT_EQ(GpuCount(folder, {{"CUDA_VISIBLE_DEVICES", "1,0"}}), 2);
  EXPECT_EQ(GpuCount(folder, {{"CUDA_VISIBLE_DEVICES", "0,1,2,3"}}), 3);
  EXPECT_EQ(GpuCount(folder, {{"CUDA_VISIBLE_DEVICES", "GPU-ab,GPU-cd"}}), 2);
  EXPECT_EQ(GpuCount(folder, {{"CUDA_VISIBLE_DEVICES", "0,-1,1"}}), 1);
  EXPECT_EQ(GpuCount(folder, {{"CUDA_VISIBLE_DEVICES", ""}}), 0);
  EXPECT_EQ(GpuCount(folder, {{"CUDA_VISIBLE_DEVICES", "none"}}), 0);
}

TEST(GpuCountTest, AMachineWithoutAnyHasNone) { EXPECT_EQ(GpuCount("/nonexistent", {}), 0); }

}  // namespace
}  // namespace lockstep::launcher
