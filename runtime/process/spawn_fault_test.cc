// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// What a spawn does when any one of its system calls fails, in the parent or in the child.
#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "runtime/base/clock.h"
#include "runtime/base/unique_fd.h"
#include "runtime/event/epoll_loop.h"
#include "runtime/event/testing/run_until.h"
#include "runtime/process/cgroup.h"
#include "runtime/process/proc_scan.h"
#include "runtime/process/processes.h"
#include "runtime/process/real_processes.h"
#include "runtime/process/testing/syscall_faults.h"

namespace lockstep::process {
namespace {

using testing::RunWithFaults;
using testing::SyscallFaults;

constexpr base::Duration kLongTime = std::chrono::seconds(20);
constexpr int kCallsMax = 500;

struct Case {
  std::string name;
  Containment containment;
  int error;

  friend void PrintTo(const Case& one, std::ostream* out) { *out << one.name; }
};

size_t CountEntries(const std::string& folder) {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(folder),
                                           std::filesystem::directory_iterator()));
}

/// Those of this process, by any method, in every hierarchy.
int CountCgroups() {
  const std::string mine = "-" + std::to_string(::getpid()) + "-";
  int count = 0;
  for (const char* controller : {"", "freezer", "pids"}) {
    const auto own = OwnCgroupFolder(controller);
    if (!own) continue;
    for (const auto& entry : std::filesystem::directory_iterator(*own)) {
      const std::string name = entry.path().filename();
      if (name.starts_with("lockstep-") && name.find(mine) != name.npos) ++count;
    }
  }
  return count;
}

class SpawnFaultTest : public ::testing::TestWithParam<Case> {
 protected:
  /// For k = 0, 1, ...: `attempt` with the k-th call refused, until there is none to refuse.
  void ForEachCall(const std::function<std::string(SyscallFaults&, int k)>& attempt) {
    const std::string problem = RunWithFaults([&](SyscallFaults& faults) -> std::string {
      const size_t fds = CountEntries("/proc/self/fd");
      for (int k = 0; k < kCallsMax; ++k) {
        const std::string outcome = attempt(faults, k);
        if (outcome == "untouched") return "";
        if (outcome.starts_with("SKIP ")) return outcome;
        if (!outcome.empty()) return "call " + std::to_string(k) + ": " + outcome;
        if (CountEntries("/proc/self/fd") != fds)
          return "call " + std::to_string(k) + ": a descriptor is left";
        if (::waitpid(-1, nullptr, WNOHANG | __WALL) != -1)
          return "call " + std::to_string(k) + ": a child is left";
        if (CountCgroups() != 0) return "call " + std::to_string(k) + ": a cgroup is left";
      }
      return "no end";
    });
    if (problem.starts_with("SKIP ")) GTEST_SKIP() << problem.substr(5);
    EXPECT_EQ(problem, "");
  }

  static std::string Explained(const base::Status& status, const std::string& what) {
    const std::string error = strerrorname_np(GetParam().error);
    const bool explained = status.message().find(what) != std::string_view::npos &&
                           status.message().find(error) != std::string_view::npos;
    return explained ? "" : "does not say what and why: " + status.ToString();
  }

  const base::RealClock clock_;
};

TEST_P(SpawnFaultTest, FailedSpawnSaysWhyAndLeavesNothing) {
  base::UniqueFd given(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const SpawnSpec spec{.name = "rank-0",
                       .arguments = {"sleep", "60"},
                       .environment = {"PATH=/nonexistent:/bin"},
                       .working_directory = "/tmp",
                       .fds = {{given.get(), 5}, {5, given.get()}},
                       .limits = {{RLIMIT_CORE, {0, 0}}}};
  const base::UniqueFd five(::fcntl(given.get(), F_DUPFD_CLOEXEC, 5));
  std::set<long> calls;
  ForEachCall([&](SyscallFaults& faults, int k) -> std::string {
    const auto loop = event::EpollLoop::Create(clock_).value();
    auto processes =
        RealProcesses::Create({.mark = "fault", .containment = GetParam().containment}, *loop);
    if (!processes.ok()) return "SKIP " + processes.status().ToString();
    std::optional<Exit> exit;
    faults.Arm(k, GetParam().error);
    auto process = (*processes)->Spawn(spec, [&](const Exit& how) { exit = how; });
    const std::optional<long> refused = faults.Disarm();
    if (refused) calls.insert(*refused);
    if (!process.ok()) return Explained(process.status(), "rank-0");
    // What failed was not needed, or there was another way: then it is a rank like any other.
    std::optional<base::Status> gone;
    (*process)->KillAll(kLongTime, [&](const base::Status& status) { gone = status; });
    if (!event::testing::RunUntil(*loop, [&] { return exit && gone; }, kLongTime))
      return "nothing is heard of it";
    if (!gone->ok() || exit->signal != SIGKILL) return gone->ToString() + ", " + exit->ToString();
    if (refused) return "";
    for (const long call : {SYS_setsid, SYS_dup3, SYS_prlimit64, SYS_chdir, SYS_execve}) {
      if (!calls.contains(call)) return "never refused: call " + std::to_string(call);
    }
    return "untouched";
  });
}

/// An agent with one rank, in a process of its own that is not traced.
class Neighbour {
 public:
  explicit Neighbour(Containment containment) {
    int ready[2];
    int end[2];
    EXPECT_EQ(::pipe(ready), 0);
    EXPECT_EQ(::pipe(end), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::close(end[1]);
      const base::RealClock clock;
      const auto loop = event::EpollLoop::Create(clock).value();
      auto processes = RealProcesses::Create({.mark = "live", .containment = containment}, *loop);
      pid_t rank = -1;
      std::unique_ptr<Process> process;
      if (processes.ok()) {
        process =
            (*processes)
                ->Spawn({.name = "rank-0", .arguments = {"/bin/sleep", "60"}}, [](const Exit&) {})
                .value();
        rank = process->pid();
      }
      char byte;
      // At its end the rank is still a child, or this process cannot have reaped it.
      const bool told = ::write(ready[1], &rank, sizeof(rank)) == sizeof(rank);
      ::_exit(told && ::read(end[0], &byte, 1) == 0 ? 0 : 1);
    }
    ::close(ready[1]);
    ::close(end[0]);
    end_.reset(end[1]);
    EXPECT_EQ(::read(ready[0], &rank_, sizeof(rank_)), static_cast<ssize_t>(sizeof(rank_)));
    ::close(ready[0]);
  }
  ~Neighbour() {
    end_.reset();
    ::waitpid(pid_, nullptr, 0);  // and its rank dies with it
  }
  /// True where the containment does not work here, and there is no rank to lose.
  bool spared() const {
    if (rank_ < 0) return true;
    const std::optional<ProcStat> stat = ReadProcStat(rank_);
    return stat && !stat->dead();
  }

 private:
  pid_t pid_ = -1;
  pid_t rank_ = -1;
  base::UniqueFd end_;
};

// An agent that could not look at another one took it for dead and killed its ranks.
TEST_P(SpawnFaultTest, FailedCreationLeavesNothingAndSparesTheLiving) {
  const Neighbour neighbour(GetParam().containment);
  ForEachCall([&](SyscallFaults& faults, int k) -> std::string {
    const auto loop = event::EpollLoop::Create(clock_).value();
    faults.Arm(k, GetParam().error);
    auto processes =
        RealProcesses::Create({.mark = "fault", .containment = GetParam().containment}, *loop);
    const bool refused = faults.Disarm().has_value();
    if (!neighbour.spared()) return "the rank of a live agent was killed";
    if (processes.ok()) return refused ? "" : "untouched";
    if (!refused) return "SKIP " + processes.status().ToString();
    return processes.status().message().empty() ? "no reason is given" : "";
  });
}

INSTANTIATE_TEST_SUITE_P(, SpawnFaultTest,
                         ::testing::Values(Case{"CgroupV2_EIO", Containment::kCgroupV2, EIO},
                                           Case{"CgroupV2_ENOSYS", Containment::kCgroupV2, ENOSYS},
                                           Case{"CgroupV1_EIO", Containment::kCgroupV1, EIO},
                                           Case{"Mark_EIO", Containment::kSubreaperMark, EIO},
                                           Case{"Mark_EMFILE", Containment::kSubreaperMark,
                                                EMFILE}),
                         [](const auto& one) { return one.param.name; });

}  // namespace
}  // namespace lockstep::process
