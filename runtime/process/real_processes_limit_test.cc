// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Limits of the machine, met by a spawn or by what was spawned: each is told by its name.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <vector>

#include "runtime/process/cgroup.h"
#include "runtime/process/processes.h"
#include "runtime/process/real_processes.h"
#include "runtime/process/test_host.h"

namespace lockstep::process {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::Host;
using testing::InAChild;
using testing::kNobody;
using testing::kTroublemaker;
using testing::WriteFile;

TEST(RealProcessesOomTest, KillForWantOfMemoryIsToldFromAPlainKill) {
  const auto memory = OwnCgroupFolder("memory");
  if (!memory || ::access(memory->c_str(), W_OK) != 0)
    GTEST_SKIP() << "no memory cgroup (v1) that may be written";
  const std::string folder = *memory + "/lockstep-oom-test-" + std::to_string(::getpid());
  ASSERT_EQ(::mkdir(folder.c_str(), 0755), 0);
  WriteFile(folder + "/memory.limit_in_bytes", "67108864");
  int report[2];
  ASSERT_EQ(::pipe2(report, O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    WriteFile(folder + "/cgroup.procs", "0");
    Host host({.mark = "oom"});
    std::string ends;
    for (const auto& actions :
         std::vector<std::vector<std::string>>{{"raise", "9"}, {"eat", "200"}, {"raise", "9"}}) {
      std::optional<Exit> exit;
      SpawnSpec spec{.name = "rank-0", .arguments = {kTroublemaker, actions[0], actions[1]}};
      const auto process = host.processes().Spawn(spec, [&](const Exit& how) { exit = how; });
      host.Wait([&] { return exit.has_value(); });
      ends += exit->ToString() + "\n";
    }
    if (::write(report[1], ends.data(), ends.size()) < 0) ::_exit(1);
    ::_exit(0);
  }
  ::close(report[1]);
  char text[512];
  const ssize_t size = ::read(report[0], text, sizeof(text));
  ::close(report[0]);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  ::rmdir(folder.c_str());

  ASSERT_GT(size, 0);
  EXPECT_EQ(std::string(text, static_cast<size_t>(size)),
            "signal 9 (SIGKILL)\nsignal 9 (SIGKILL), out of memory\nsignal 9 (SIGKILL)\n");
}

/// What a spawn says under a limit; root becomes somebody whom it holds for.
std::string SpawnUnderLimit(int resource, rlimit limit, SpawnSpec spec = {}) {
  return InAChild([&]() -> std::string {
    if (::geteuid() == 0 && ::setresuid(kNobody, kNobody, kNobody) != 0) return "setresuid";
    Host host({.mark = "limit"});
    if (!host.works()) return host.status().ToString();
    spec.name = "rank-3";
    spec.arguments = {"/bin/true"};
    const auto runs = [&] {
      std::optional<Exit> exit;
      const auto process = host.processes().Spawn(spec, [&](const Exit& how) { exit = how; });
      return process.ok() && host.Wait([&] { return exit.has_value(); });
    };
    // Also because a sanitizer takes descriptors when it first looks at an object's type.
    if (!runs()) return "nothing runs, without a limit";
    rlimit before{};
    ::getrlimit(resource, &before);
    if (limit.rlim_max == RLIM_INFINITY) limit.rlim_max = before.rlim_max;
    if (::setrlimit(resource, &limit) != 0) return "setrlimit";
    const auto refused = host.processes().Spawn(spec, [](const Exit&) {});
    if (refused.ok()) return "nobody minds";
    if (limit.rlim_max == before.rlim_max) {
      // Nothing is broken once there is room again.
      ::setrlimit(resource, &before);
      if (!runs()) return "broken";
    }
    return std::string(refused.status().message());
  });
}

TEST(RealProcessesLimitTest, DescriptorLimitIsNamedWithItsCure) {
  EXPECT_THAT(SpawnUnderLimit(RLIMIT_NOFILE, {3, RLIM_INFINITY}),
              AllOf(HasSubstr("start rank-3: "), HasSubstr("(EMFILE)"),
                    HasSubstr("3 descriptors (RLIMIT_NOFILE)"), HasSubstr("ulimit -n ")));
  // In the child, which the kernel tells of a bad descriptor and of an invalid one.
  EXPECT_THAT(SpawnUnderLimit(RLIMIT_NOFILE, {100, RLIM_INFINITY}, {.fds = {{0, 200}}}),
              AllOf(HasSubstr("start rank-3: give it descriptor 200: "), HasSubstr("(EMFILE)"),
                    HasSubstr("ulimit -n ")));
  EXPECT_THAT(SpawnUnderLimit(RLIMIT_NOFILE, {100, 100}, {.fds = {{0, 1}, {1, 200}}}),
              AllOf(HasSubstr("start rank-3: give it descriptor "), HasSubstr("(EMFILE)"),
                    HasSubstr("ulimit -n NUMBER, as root")));
}

TEST(RealProcessesLimitTest, UsersProcessLimitIsNamedWithItsCure) {
  EXPECT_THAT(SpawnUnderLimit(RLIMIT_NPROC, {1, 4'000}),
              AllOf(HasSubstr("start rank-3: "), HasSubstr("(EAGAIN)"),
                    HasSubstr("may have 1 processes and threads (RLIMIT_NPROC)"),
                    HasSubstr("ulimit -u 4000")));
  EXPECT_THAT(SpawnUnderLimit(RLIMIT_NPROC, {1, 1}), HasSubstr("ulimit -u NUMBER, as root"));
}

TEST(RealProcessesLimitTest, CgroupsProcessLimitIsNamedWithItsCure) {
  const auto pids = OwnCgroupFolder("pids");
  if (!pids || ::access(pids->c_str(), W_OK) != 0)
    GTEST_SKIP() << "no pids cgroup (v1) that may be written";
  const std::string folder = *pids + "/lockstep-pids-test-" + std::to_string(::getpid());
  ASSERT_EQ(::mkdir(folder.c_str(), 0755), 0);
  WriteFile(folder + "/pids.max", "1");
  const std::string message = InAChild([&]() -> std::string {
    WriteFile(folder + "/cgroup.procs", "0");
    Host host({.mark = "pids", .containment = Containment::kSubreaperMark});
    const auto refused =
        host.processes().Spawn({.name = "rank-3", .arguments = {"/bin/true"}}, [](const Exit&) {});
    return std::string(refused.status().message());
  });
  EXPECT_EQ(::rmdir(folder.c_str()), 0);

  EXPECT_THAT(message, AllOf(HasSubstr("start rank-3: "), HasSubstr("(EAGAIN)"),
                             HasSubstr("may have 1 processes and threads (pids.max)"),
                             HasSubstr("echo NUMBER > " + folder + "/pids.max")));
}

}  // namespace
}  // namespace lockstep::process
