// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Where /dev/shm is as small as containers have it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "collectives/group.h"
#include "runtime/base/testing/in_a_child.h"
#include "runtime/base/testing/refused_call.h"
#include "tests/rank/agent_in_process.h"

namespace lockstep::rank {
namespace {

using base::testing::InAChild;
using base::testing::RefuseCall;
using collectives::Reduction;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kSkipped[] = "skipped: ";
constexpr uint64_t kSmallBytes = uint64_t{64} << 20;

/// Mounts of this process's own; of a user that may not have them, as root of a namespace of its
/// own.
bool HaveOwnMounts() {
  if (::unshare(CLONE_NEWNS) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
  return ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
}

/// Covers `folder` by a file system of 64 MiB. What is wrong; "" = it is covered.
std::string Cover(const char* folder) {
  if (::mount("tmpfs", folder, "tmpfs", 0, "size=64m") != 0)
    return std::string("no mount on ") + folder + ": " + ::strerror(errno);
  struct statvfs covered{};
  if (::statvfs(folder, &covered) != 0 || covered.f_blocks * covered.f_frsize != kSmallBytes)
    return std::string(folder) + " is not the small file system";
  return "";
}

/// Makes /dev/shm 64 MiB, as docker does, and leaves no other folder for memory; for this process
/// alone. What is wrong; "" = it is so.
std::string MakeDevShmSmall() {
  ::setenv("TMPDIR", "/nonexistent", 1);
  if (!HaveOwnMounts())
    return std::string(kSkipped) + "this user may not mount: " + ::strerror(errno);
  return Cover("/dev/shm");
}

/// Two ranks ask for 48 MiB each in the memory of their agent and sum in it. What each of them was
/// told, and what came of the group itself.
std::string SumInLargeSharedBuffers() {
  std::mutex mutex;
  std::set<std::string> told;
  const auto tell = [&](const std::string& text) {
    const std::lock_guard<std::mutex> lock(mutex);
    told.insert(text);
  };
  AgentInProcess agent;
  agent.RunRanks(2, [&](Session& session) {
    const auto group = session.WorldGroup();
    if (!group.ok()) return tell(group.status().ToString());
    constexpr size_t kBytes = size_t{48} << 20;
    const auto buffer = (*group)->AllocBuffer(kBytes, {.timeout = std::chrono::seconds(20)});
    if (!buffer.ok()) return tell(buffer.status().ToString());
    auto* const data = reinterpret_cast<float*>((*buffer)->data());
    constexpr size_t kCount = kBytes / sizeof(float);
    data[kCount - 1] = 1;
    const base::Status sum =
        (*group)->AllReduce({data, kCount}, {data, kCount}, Reduction::kSum)->Wait();
    tell(sum.ok() ? "the sum is " + std::to_string(data[kCount - 1]) : sum.ToString());
  });
  std::string all;
  for (const std::string& text : told) all += text + "\n";
  return all;
}

TEST(SmallDevShmTest, GroupsDoNotLiveThere) {
  const std::string told = InAChild([]() -> std::string {
    const std::string wrong = MakeDevShmSmall();
    return wrong.empty() ? SumInLargeSharedBuffers() : wrong;
  });
  if (told.starts_with(kSkipped)) GTEST_SKIP() << told;
  EXPECT_EQ(told, "the sum is 2.000000\n");
}

TEST(SmallDevShmTest, WithoutMemfdWhatDoesNotFitIsAnErrorOnAllRanks) {
  const std::string told = InAChild([]() -> std::string {
    if (const std::string wrong = MakeDevShmSmall(); !wrong.empty()) return wrong;
    if (const std::string wrong = Cover("/tmp"); !wrong.empty()) return wrong;
    if (!RefuseCall(SYS_memfd_create, ENOSYS)) return "no filter";
    return SumInLargeSharedBuffers();
  });
  if (told.starts_with(kSkipped)) GTEST_SKIP() << told;
  EXPECT_THAT(told, AllOf(HasSubstr("RESOURCE_EXHAUSTED"), HasSubstr("100663296 bytes"),
                          HasSubstr("--shm-size")));
  EXPECT_EQ(std::count(told.begin(), told.end(), '\n'), 1) << "the same on both ranks: " << told;
}

}  // namespace
}  // namespace lockstep::rank
