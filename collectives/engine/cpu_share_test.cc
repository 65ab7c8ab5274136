// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/engine/cpu_share.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>

namespace lockstep::collectives {
namespace {

using std::chrono::seconds;

/// A machine's files, in a folder.
class CpuShareTest : public ::testing::Test {
 protected:
  CpuShareTest() {
    std::string path = std::string(::getenv("TEST_TMPDIR")) + "/cpuXXXXXX";
    folder_ = ::mkdtemp(path.data());
  }
  ~CpuShareTest() override { std::filesystem::remove_all(folder_); }

  void Write(const std::string& name, const std::string& text) const {
    const std::filesystem::path path = folder_ + "/" + name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  CpuShare Seen() const {
    CpuShare share(files());
    share.Look();
    return share;
  }
  CpuShare::Files files() const {
    return {folder_ + "/membership", folder_ + "/cgroup", folder_ + "/pressure"};
  }

  std::string folder_;
};

TEST_F(CpuShareTest, WhereNothingCanBeReadThereIsNoLimit) {
  CpuShare share(files());
  share.Look();
  EXPECT_EQ(share.quota(), CpuShare::kNoQuota);
  EXPECT_FALSE(share.throttled());
  EXPECT_FALSE(share.pressed());
}

TEST_F(CpuShareTest, TheLeastOfTheQuotasOnTheWayUpCounts) {
  Write("membership", "0::/a/b\n");
  Write("cgroup/a/b/cpu.max", "300000 100000\n");
  Write("cgroup/a/cpu.max", "150000 100000\n");
  Write("cgroup/cpu.max", "max 100000\n");
  EXPECT_DOUBLE_EQ(Seen().quota(), 1.5);
}

TEST_F(CpuShareTest, NoQuotaIsNoLimit) {
  Write("membership", "0::/a\n");
  Write("cgroup/a/cpu.max", "max 100000\n");
  EXPECT_EQ(Seen().quota(), CpuShare::kNoQuota);
}

TEST_F(CpuShareTest, TheOlderHierarchyCountsWhereItHasTheProcessors) {
  Write("membership", "4:cpu,cpuacct:/job\n1:name=systemd:/x\n0::/unified\n");
  Write("cgroup/cpu/job/cpu.cfs_quota_us", "50000\n");
  Write("cgroup/cpu/job/cpu.cfs_period_us", "100000\n");
  Write("cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  Write("cgroup/cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_DOUBLE_EQ(Seen().quota(), 0.5);
}

// A container's view: the host's path, of which it sees the last folder alone, as the root.
TEST_F(CpuShareTest, APathThatIsNotThereIsTheRoot) {
  Write("membership", "0::/system.slice/docker-1234.scope\n");
  Write("cgroup/cpu.max", "200000 100000\n");
  EXPECT_DOUBLE_EQ(Seen().quota(), 2);
}

TEST_F(CpuShareTest, ThrottledIsWhatGrewSinceTheLastLook) {
  Write("membership", "0::/a\n");
  Write("cgroup/a/cpu.max", "100000 100000\n");
  Write("cgroup/a/cpu.stat", "usage_usec 5\nnr_periods 9\nnr_throttled 7\nthrottled_usec 1\n");
  CpuShare share = Seen();
  EXPECT_FALSE(share.throttled());
  Write("cgroup/a/cpu.stat", "usage_usec 5\nnr_periods 9\nnr_throttled 8\nthrottled_usec 1\n");
  share.Look();
  EXPECT_TRUE(share.throttled());
  share.Look();
  EXPECT_FALSE(share.throttled());
}

TEST_F(CpuShareTest, PressureIsTheOwnCgroupsElseTheMachines) {
  Write("membership", "0::/a\n");
  Write("cgroup/a/cpu.stat", "nr_throttled 0\n");
  Write("pressure", "some avg10=60.00 avg60=1.00 avg300=0.00 total=5\n");
  CpuShare share = Seen();
  EXPECT_TRUE(share.pressed());
  Write("cgroup/a/cpu.pressure", "some avg10=3.10 avg60=99.00 avg300=0.00 total=5\n");
  share.Look();
  EXPECT_FALSE(share.pressed());
  Write("cgroup/a/cpu.pressure", "some avg10=50.00 avg60=0.00 avg300=0.00 total=5\n");
  share.Look();
  EXPECT_TRUE(share.pressed());
}

TEST_F(CpuShareTest, ItLooksAgainAfterItsTimeAndNotBefore) {
  const base::SteadyTime start{seconds(100)};
  CpuShare share(files());
  share.Refresh(start);
  Write("pressure", "some avg10=60.00 avg60=1.00 avg300=0.00 total=5\n");
  share.Refresh(start + CpuShare::kLookEvery - std::chrono::nanoseconds(1));
  EXPECT_FALSE(share.pressed());
  share.Refresh(start + CpuShare::kLookEvery);
  EXPECT_TRUE(share.pressed());
}

}  // namespace
}  // namespace lockstep::collectives
