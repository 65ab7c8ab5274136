// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// The end of a rank: all that it ever made dies, whatever it did to hide, and nothing else.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "runtime/base/testing/status_matchers.h"
#include "runtime/process/cgroup.h"
#include "runtime/process/proc_scan.h"
#include "runtime/process/processes.h"
#include "runtime/process/real_processes.h"
#include "runtime/process/test_host.h"

namespace lockstep::process {
namespace {

using base::Code;
using base::testing::IsOk;
using base::testing::StatusIs;
using std::chrono::milliseconds;
using ::testing::AllOf;
using testing::Collected;
using testing::Folder;
using ::testing::HasSubstr;
using testing::Host;
using testing::IsAlive;
using testing::kNobody;
using testing::kTroublemaker;
using testing::WriteFile;

TEST(RealProcessesKillTest, ProcessThatCannotDieIsNamedWhenTheDeadlinePasses) {
  // What a version 1 freezer holds survives SIGKILL until it is thawed, like a process in
  // uninterruptible sleep.
  const auto freezer = OwnCgroupFolder("freezer");
  if (!freezer || ::access(freezer->c_str(), W_OK) != 0)
    GTEST_SKIP() << "no freezer cgroup that may be written";
  const std::string folder = *freezer + "/lockstep-stuck-test-" + std::to_string(::getpid());
  ASSERT_EQ(::mkdir(folder.c_str(), 0755), 0);
  {
    Host host({.mark = "stuck", .containment = Containment::kSubreaperMark});
    Collected output(host.loop());
    const auto process = host.Spawn(kTroublemaker, {"print", "ready", "sleep"}, output);
    ASSERT_TRUE(host.Wait([&] { return output.Has("ready"); }));
    WriteFile(folder + "/cgroup.procs", std::to_string(process->pid()));
    WriteFile(folder + "/freezer.state", "FROZEN");

    const base::Status status = host.KillAll(*process, milliseconds(100));

    EXPECT_THAT(status,
                StatusIs(Code::kDeadlineExceeded,
                         AllOf(HasSubstr("troublemaker (pid " + std::to_string(process->pid())),
                               HasSubstr("100ms"))));
    WriteFile(folder + "/freezer.state", "THAWED");
    EXPECT_THAT(host.KillAll(*process), IsOk());
  }
  EXPECT_EQ(::rmdir(folder.c_str()), 0);
}

TEST(RealProcessesKillTest, OrphanInTheMidstOfExecIsNotTakenForAStranger) {
  Host host({.mark = "execers", .containment = Containment::kSubreaperMark});
  Collected quiet(host.loop());
  // As long as it lives, processes that nobody owns are spared.
  const auto neighbour = host.Spawn(kTroublemaker, {"sleep"}, quiet, "rank-1");
  for (int run = 0; run < 150; ++run) {
    Collected output(host.loop());
    const auto process = host.Spawn(kTroublemaker, {"execer", "print", "ready", "sleep"}, output);
    ASSERT_TRUE(host.Wait([&] { return output.Has("ready"); }));

    ASSERT_OK(host.KillAll(*process));

    ASSERT_TRUE(host.Wait([&] { return output.at_end(); })) << "the daemon lives, run " << run;
  }
  EXPECT_OK(host.KillAll(*neighbour));
}

struct Tree {
  std::string name;
  Containment containment;
  bool use_pidfd = true;
  bool unprivileged = false;
  bool delegated = false;  // in a cgroup that the unprivileged user may write

  friend void PrintTo(const Tree& tree, std::ostream* out) { *out << tree.name; }
};

/// Runs in a process of its own: a test may change its user, and nothing it leaves behind can hide
/// among our children.
class TreeTest : public ::testing::TestWithParam<Tree> {
 protected:
  /// `body` returns what is wrong, or nothing.
  void RunAlone(const std::function<std::string(Host&, const std::string& program)>& body) {
    if (GetParam().unprivileged && ::geteuid() != 0)
      GTEST_SKIP() << "only root can become another user";
    std::string cgroup;
    if (GetParam().delegated) {
      const auto own = OwnCgroupFolder("");
      if (!own || ::access(own->c_str(), W_OK) != 0)
        GTEST_SKIP() << "no cgroup v2 that may be written";
      cgroup = *own + "/lockstep-delegated-test-" + std::to_string(::getpid());
      ASSERT_EQ(::mkdir(cgroup.c_str(), 0755), 0);
      for (const char* file : {"", "/cgroup.procs"})
        ASSERT_EQ(::chown((cgroup + file).c_str(), kNobody, kNobody), 0);
    }
    Folder folder;  // where another user may look
    const std::string program = folder.path() + "/troublemaker";
    std::filesystem::copy_file(kTroublemaker, program);
    int report[2];
    ASSERT_EQ(::pipe2(report, O_CLOEXEC), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      if (GetParam().delegated) WriteFile(cgroup + "/cgroup.procs", "0");
      if (GetParam().unprivileged && ::setresuid(kNobody, kNobody, kNobody) != 0) ::_exit(2);
      std::string problem;
      {
        Host host({.mark = Mark(),
                   .containment = GetParam().containment,
                   .use_pidfd = GetParam().use_pidfd});
        problem = host.works() ? body(host, program) : "SKIP " + host.status().ToString();
      }
      if (problem.empty() && ::waitpid(-1, nullptr, WNOHANG | __WALL) != -1)
        problem = "a child is left at the end";
      if (::write(report[1], problem.data(), problem.size()) < 0) ::_exit(3);
      ::_exit(0);
    }
    ::close(report[1]);
    std::string problem;
    char bytes[512];
    for (ssize_t size = 0; (size = ::read(report[0], bytes, sizeof(bytes))) > 0;) {
      problem.append(bytes, static_cast<size_t>(size));
    }
    ::close(report[0]);
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    if (GetParam().delegated) {
      EXPECT_EQ(::rmdir(cgroup.c_str()), 0) << "a cgroup is left in it";
    }
    if (problem.starts_with("SKIP ")) GTEST_SKIP() << problem.substr(5);
    EXPECT_EQ(problem, "");
    EXPECT_EQ(status, 0);
  }
  static std::string Mark() { return "tree." + std::to_string(::getpid()); }
};

/// After KillAll(). A cgroup counts a dying process out a moment before /proc shows it as dead, and
/// on a busy machine others may have the processor in between; there it gets time.
bool LivesOn(Host& host, pid_t pid) {
  if (!host.processes().containment().starts_with("cgroup")) return IsAlive(pid);
  return !host.Wait([pid] { return !IsAlive(pid); });
}

/// Returns the limit that was in force.
rlimit UseUpDescriptors() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const rlimit before = limit;
  const int lowest_free = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
  ::close(lowest_free);
  limit.rlim_cur = static_cast<rlim_t>(lowest_free);
  ::setrlimit(RLIMIT_NOFILE, &limit);
  return before;
}

/// Starts the rank, kills all of it, and looks for what is left.
std::string KillsAll(Host& host, const std::string& program,
                     const std::vector<std::string>& actions, size_t pids, bool leader_ends_first) {
  Collected output(host.loop());
  std::vector<std::string> all = actions;
  all.insert(all.end(), {"print", "ready", leader_ends_first ? "print" : "sleep"});
  if (leader_ends_first) all.push_back("bye");
  const auto process = host.Spawn(program, all, output);
  if (process == nullptr) return "not spawned";
  if (!host.Wait([&] { return output.Has("ready") && output.Pids().size() == pids; }))
    return "not ready: " + output.text();
  if (leader_ends_first && !host.Wait([&] { return process->exit().has_value(); }))
    return "leader does not end";
  for (const pid_t pid : output.Pids()) {
    if (!IsAlive(pid)) return "pid " + std::to_string(pid) + " died by itself";
  }
  if (const base::Status status = host.KillAll(*process); !status.ok()) return status.ToString();
  for (const pid_t pid : output.Pids()) {
    if (LivesOn(host, pid)) return "alive: " + ReadProcStat(pid)->ToString();
  }
  // Whoever else held the pipe is gone too.
  if (!host.Wait([&] { return output.at_end(); })) return "somebody holds the pipe";
  return "";
}

TEST_P(TreeTest, KillAllLeavesNothingOfARankThatMadeEveryKindOfProcess) {
  RunAlone([](Host& host, const std::string& program) {
    return KillsAll(
        host, program,
        {"ignore", "15", "child", "setsid-child", "double-fork", "stopped-child", "headless"}, 5,
        false);
  });
}

TEST_P(TreeTest, KillAllLeavesNothingWhenTheLeaderEndedBefore) {
  RunAlone([](Host& host, const std::string& program) {
    return KillsAll(host, program, {"child", "setsid-child", "double-fork", "stopped-child"}, 4,
                    true);
  });
}

TEST_P(TreeTest, KillAllEndsAStoppedLeaderAndADaemonWithoutAMark) {
  RunAlone([](Host& host, const std::string& program) {
    return KillsAll(host, program, {"hidden", "double-fork"}, 2, true);
  });
}

TEST_P(TreeTest, KillAllCatchesADaemonThatKeepsForkingAndLeaving) {
  RunAlone([](Host& host, const std::string& program) {
    return KillsAll(host, program, {"hopper"}, 0, false);
  });
}

/// What can be killed is; what cannot be looked at is not taken for gone.
TEST_P(TreeTest, WithoutAFreeDescriptorNobodyIsTakenForGone) {
  RunAlone([](Host& host, const std::string& program) -> std::string {
    Collected output(host.loop());
    const auto rank = host.Spawn(program, {"setsid-child", "print", "ready", "sleep"}, output);
    if (!host.Wait([&] { return output.Has("ready"); })) return "not ready";
    const pid_t child = output.Pids().at(0);
    const rlimit before = UseUpDescriptors();

    const base::Status status = host.KillAll(*rank, milliseconds(200));

    ::setrlimit(RLIMIT_NOFILE, &before);
    if (status.ok() && IsAlive(child)) return "told that all are gone, and one lives";
    if (const base::Status again = host.KillAll(*rank); !again.ok()) return again.ToString();
    return LivesOn(host, child) ? "the child lives on" : "";
  });
}

TEST_P(TreeTest, KillAllOfOneRankSparesItsNeighbour) {
  RunAlone([](Host& host, const std::string& program) -> std::string {
    Collected mine(host.loop());
    Collected other(host.loop());
    const auto rank = host.Spawn(
        program, {"setsid-child", "double-fork", "print", "ready", "sleep"}, mine, "rank-0");
    const auto neighbour = host.Spawn(
        program, {"setsid-child", "double-fork", "print", "ready", "sleep"}, other, "rank-1");
    if (!host.Wait([&] { return mine.Has("ready") && other.Has("ready"); })) return "not ready";
    if (const base::Status status = host.KillAll(*rank); !status.ok()) return status.ToString();
    for (const pid_t pid : mine.Pids()) {
      if (LivesOn(host, pid)) return "alive: " + ReadProcStat(pid)->ToString();
    }
    for (const pid_t pid : other.Pids()) {
      if (!IsAlive(pid)) return "the neighbour lost " + std::to_string(pid);
    }
    if (neighbour->exit()) return "the neighbour ended";
    return host.KillAll(*neighbour).ok() ? "" : "the neighbour does not die";
  });
}

TEST_P(TreeTest, DestroyingTheProcessKillsItsTreeWithoutWaiting) {
  RunAlone([](Host& host, const std::string& program) -> std::string {
    Collected output(host.loop());
    auto rank = host.Spawn(program, {"child", "double-fork", "print", "ready", "sleep"}, output);
    if (!host.Wait([&] { return output.Has("ready"); })) return "not ready";
    rank.reset();
    return host.Wait([&] { return output.at_end(); }) ? "" : "somebody lives on";
  });
}

TEST_P(TreeTest, SignalAllReachesEveryProcessOfTheTree) {
  RunAlone([](Host& host, const std::string& program) -> std::string {
    Collected output(host.loop());
    const auto rank = host.Spawn(
        program, {"child", "setsid-child", "double-fork", "print", "ready", "sleep"}, output);
    if (!host.Wait([&] { return output.Has("ready"); })) return "not ready";
    std::vector<pid_t> pids = output.Pids();
    pids.push_back(rank->pid());
    const auto all_in = [&](const std::string& states) {
      for (const pid_t pid : pids) {
        const auto stat = ReadProcStat(pid);
        if (!stat || states.find(stat->state) == states.npos) return false;
      }
      return true;
    };
    if (!rank->SignalAll(SIGSTOP).ok() || !host.Wait([&] { return all_in("T"); }))
      return "not all stopped";
    if (!rank->SignalAll(SIGCONT).ok() || !host.Wait([&] { return all_in("SR"); }))
      return "not all continued";
    return host.KillAll(*rank).ok() ? "" : "does not die";
  });
}

INSTANTIATE_TEST_SUITE_P(
    , TreeTest,
    ::testing::Values(Tree{"CgroupV2", Containment::kCgroupV2},
                      Tree{"CgroupV1", Containment::kCgroupV1},
                      Tree{"Mark", Containment::kSubreaperMark},
                      Tree{"MarkWithoutPidfd", Containment::kSubreaperMark, false},
                      Tree{"DelegatedCgroupAsNobody", Containment::kCgroupV2, true, true, true},
                      Tree{"BestAsNobody", Containment::kBest, true, true},
                      Tree{"MarkAsNobody", Containment::kSubreaperMark, true, true}),
    [](const auto& tree) { return tree.param.name; });

}  // namespace
}  // namespace lockstep::process
