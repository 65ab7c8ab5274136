// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/cgroup.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

#include "runtime/base/clock.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::process {
namespace {

constexpr char kHybridCgroup[] =
    "9:name=systemd:/\n"
    "6:freezer:/jobs/a\n"
    "2:cpu,cpuacct:/jobs/b\n"
    "0::/user.slice/session-1.scope\n";
constexpr char kHybridMounts[] =
    "20 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
    "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 master:2 - cgroup cgroup "
    "rw,cpu,cpuacct\n"
    "38 31 0:35 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

TEST(FindCgroupFolderTest, FindsEachHierarchyOfAHybridMachine) {
  EXPECT_EQ(FindCgroupFolder(kHybridCgroup, kHybridMounts, ""),
            "/sys/fs/cgroup/unified/user.slice/session-1.scope");
  EXPECT_EQ(FindCgroupFolder(kHybridCgroup, kHybridMounts, "freezer"),
            "/sys/fs/cgroup/freezer/jobs/a");
  EXPECT_EQ(FindCgroupFolder(kHybridCgroup, kHybridMounts, "cpuacct"),
            "/sys/fs/cgroup/cpu,cpuacct/jobs/b");
  EXPECT_EQ(FindCgroupFolder(kHybridCgroup, kHybridMounts, "pids"), std::nullopt);
  EXPECT_EQ(FindCgroupFolder(kHybridCgroup, kHybridMounts, "cpu,cpuacct"), std::nullopt);
}

TEST(FindCgroupFolderTest, RootCgroupIsTheMountPointItself) {
  EXPECT_EQ(FindCgroupFolder("0::/\n", "41 31 0:38 / /sys/fs/cgroup rw - cgroup2 none rw\n", ""),
            "/sys/fs/cgroup");
}

TEST(FindCgroupFolderTest, PartlyMountedHierarchyIsCutToWhatIsSeen) {
  const char mounts[] = "41 31 0:38 /docker/c1 /sys/fs/cgroup ro - cgroup2 none rw\n";
  EXPECT_EQ(FindCgroupFolder("0::/docker/c1\n", mounts, ""), "/sys/fs/cgroup");
  EXPECT_EQ(FindCgroupFolder("0::/docker/c1/x\n", mounts, ""), "/sys/fs/cgroup/x");
  EXPECT_EQ(FindCgroupFolder("0::/docker/c10\n", mounts, ""), std::nullopt);
  EXPECT_EQ(FindCgroupFolder("0::/other\n", mounts, ""), std::nullopt);
}

TEST(FindCgroupFolderTest, CgroupOutsideTheNamespaceIsNotInSight) {
  EXPECT_EQ(
      FindCgroupFolder("0::/../other\n", "41 31 0:38 / /sys/fs/cgroup rw - cgroup2 none rw\n", ""),
      std::nullopt);
}

TEST(FindCgroupFolderTest, TornTextIsNoFolder) {
  for (const char* mounts :
       {"", "\n\n", "41", "41 31 0:38 / - cgroup2", " - ", " - cgroup2 none rw"}) {
    EXPECT_EQ(FindCgroupFolder("0::/a\n", mounts, ""), std::nullopt) << mounts;
  }
  EXPECT_EQ(FindCgroupFolder("garbage", kHybridMounts, ""), std::nullopt);
}

class CgroupTreeTest : public ::testing::TestWithParam<CgroupKind> {
 protected:
  void SetUp() override {
    auto tree = CgroupTree::Create(GetParam());
    if (!tree.ok()) GTEST_SKIP() << tree.status();
    tree_ = std::move(tree).value();
  }
  /// The folder that Describe() ends with.
  std::string Folder() const {
    const std::string text = tree_->Describe();
    return text.substr(text.find(" at ") + 4);
  }
  static bool Exists(const std::string& path) {
    struct stat info;
    return ::stat(path.c_str(), &info) == 0;
  }
  /// A child in the leaf that forks another one there and sleeps.
  static pid_t ForkInto(const CgroupLeaf& leaf) {
    const base::UniqueFd entry = leaf.OpenEntry();
    EXPECT_TRUE(entry.valid());
    int ready[2];
    EXPECT_EQ(::pipe(ready), 0);
    const pid_t pid = ::fork();
    if (pid == 0) {
      if (::write(entry.get(), "0", 1) != 1) ::_exit(1);
      ::fork();
      if (::write(ready[1], "x", 1) != 1) ::_exit(1);
      while (true) ::pause();
    }
    ::close(ready[1]);
    char bytes[2];
    for (int have = 0; have < 2;) have += static_cast<int>(::read(ready[0], bytes, sizeof(bytes)));
    ::close(ready[0]);
    return pid;
  }

  std::unique_ptr<CgroupTree> tree_;
};

TEST_P(CgroupTreeTest, KillEndsAllMembersAndTheFoldersGo) {
  const std::string folder = Folder();
  {
    ASSERT_OK_AND_ASSIGN(auto leaf, tree_->NewLeaf("rank-0-0"));
    EXPECT_TRUE(leaf->Empty());
    const pid_t pid = ForkInto(*leaf);
    EXPECT_EQ(leaf->Members().size(), 2u);
    EXPECT_FALSE(leaf->Empty());

    const base::RealClock clock;
    const base::SteadyTime deadline = clock.Now() + std::chrono::seconds(20);
    while (!leaf->Empty() && clock.Now() < deadline) {
      leaf->Kill();
      ::sched_yield();
    }

    int status = 0;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_EQ(WTERMSIG(status), SIGKILL);
  }
  EXPECT_FALSE(Exists(folder + "/rank-0-0"));
  tree_.reset();

  EXPECT_FALSE(Exists(folder));
}

// By cgroup.procs it takes 12 ms on an idle machine; on a busy one nobody would notice.
TEST_P(CgroupTreeTest, VersionOneIsJoinedByTheFileThatDoesNotWait) {
  if (GetParam() == CgroupKind::kV2) GTEST_SKIP() << "children are born in those";
  ASSERT_OK_AND_ASSIGN(auto leaf, tree_->NewLeaf("rank-0-0"));

  const base::UniqueFd entry = leaf->OpenEntry();

  EXPECT_EQ(std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(entry.get())),
            Folder() + "/rank-0-0/tasks");
}

TEST_P(CgroupTreeTest, WhatADeadAgentLeftIsKilledAndRemovedByTheNext) {
  const std::string folder = Folder();
  int report[2];
  ASSERT_EQ(::pipe(report), 0);
  const pid_t agent = ::fork();
  if (agent == 0) {
    auto tree = CgroupTree::Create(GetParam());
    if (!tree.ok()) ::_exit(1);
    auto leaf = (*tree)->NewLeaf("rank-0-0");
    const pid_t member = ForkInto(**leaf);
    const std::string name = (*tree)->Describe().substr((*tree)->Describe().find(" at ") + 4);
    ::dprintf(report[1], "%d %s", member, name.c_str());
    ::_exit(0);  // without a destructor, as when killed
  }
  ::close(report[1]);
  char text[512] = {};
  ASSERT_GT(::read(report[0], text, sizeof(text) - 1), 0);
  ::close(report[0]);
  ASSERT_EQ(::waitpid(agent, nullptr, 0), agent);
  const pid_t member = std::atoi(text);
  const std::string left = std::string(text).substr(std::string(text).find(' ') + 1);
  ASSERT_NE(left, folder);
  ASSERT_TRUE(Exists(left));
  ASSERT_EQ(::kill(member, 0), 0);

  tree_.reset();
  tree_ = CgroupTree::Create(GetParam()).value();

  EXPECT_FALSE(Exists(left));
  EXPECT_TRUE(Exists(folder));
}

INSTANTIATE_TEST_SUITE_P(, CgroupTreeTest,
                         ::testing::Values(CgroupKind::kV2, CgroupKind::kV1Freezer,
                                           CgroupKind::kV1Pids),
                         [](const auto& kind) {
                           return kind.param == CgroupKind::kV2          ? "V2"
                                  : kind.param == CgroupKind::kV1Freezer ? "V1Freezer"
                                                                         : "V1Pids";
                         });

}  // namespace
}  // namespace lockstep::process
