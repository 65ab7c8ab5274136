// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Times whole commands against each other in one run: launch and exit of N ranks, loss of a rank,
// restart of the gang. The contenders take turns, so that a busy machine slows all of them; medians
// and ratios are printed.
//
//   launch_benchmark LOCKSTEP [RUNS]
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <vector>

extern char** environ;

namespace {

using Clock = std::chrono::steady_clock;
using Words = std::vector<std::string>;

constexpr int kGiveUpMs = 20'000;

double Milliseconds(Clock::duration time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

/// Starts a command with its output thrown away.
pid_t Start(const Words& words) {
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  pid_t pid = -1;
  const int error = ::posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  return error == 0 ? pid : -1;
}

/// Waits for the end of `pid`; false when it had to be killed.
bool Finish(pid_t pid) {
  const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  pollfd fd{pidfd, POLLIN, 0};
  const bool ended = ::poll(&fd, 1, kGiveUpMs) == 1;
  ::close(pidfd);
  if (!ended) ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  return ended;
}

struct Contender {
  std::string name;
  std::function<std::optional<double>()> run;  // milliseconds; nothing when it hung
  std::vector<double> times;
  int hangs = 0;

  double median() {
    if (times.empty()) return 0;
    std::sort(times.begin(), times.end());
    return times[times.size() / 2];
  }
};

std::optional<double> TimeCommand(const Words& words) {
  const auto start = Clock::now();
  const pid_t pid = Start(words);
  if (pid < 0) return std::nullopt;
  if (!Finish(pid)) return std::nullopt;
  return Milliseconds(Clock::now() - start);
}

/// posix_spawn and wait, nothing else: what N processes cost on this machine.
std::optional<double> TimeFloor(int ranks) {
  const auto start = Clock::now();
  std::vector<pid_t> pids;
  for (int i = 0; i < ranks; ++i) pids.push_back(Start({"/bin/true"}));
  for (const pid_t pid : pids) ::waitpid(pid, nullptr, 0);
  return Milliseconds(Clock::now() - start);
}

bool OnPath(const std::string& program) {
  return std::system(("command -v " + program + " >/dev/null 2>&1").c_str()) ==
         0;  // names are ours, not a user's
}

void Compete(const std::string& title, std::vector<Contender> contenders, int runs) {
  for (int run = 0; run < runs; ++run) {
    for (Contender& contender : contenders) {
      if (const std::optional<double> time = contender.run()) {
        contender.times.push_back(*time);
      } else {
        ++contender.hangs;
      }
    }
  }
  std::printf("%s\n", title.c_str());
  const double ours = contenders[0].median();
  for (Contender& contender : contenders) {
    std::printf("  %-28s median %8.2f ms   %6.2fx of %s", contender.name.c_str(),
                contender.median(), ours > 0 ? contender.median() / ours : 0,
                contenders[0].name.c_str());
    if (contender.hangs > 0) std::printf("   hung in %d of %d runs", contender.hangs, runs);
    std::printf("\n");
  }
}

void LaunchAndExit(const std::string& lockstep, int ranks, int runs) {
  const std::string count = std::to_string(ranks);
  std::vector<Contender> contenders;
  contenders.push_back(
      {"lockstep", [=] { return TimeCommand({lockstep, "run", "-np", count, "/bin/true"}); }, {}});
  contenders.push_back({"posix_spawn + wait (floor)", [=] { return TimeFloor(ranks); }, {}});
  if (OnPath("mpirun.openmpi")) {
    contenders.push_back({"mpirun.openmpi",
                          [=] {
                            return TimeCommand(
                                {"mpirun.openmpi", "--oversubscribe", "-np", count, "/bin/true"});
                          },
                          {}});
  }
  if (OnPath("mpiexec.hydra")) {
    contenders.push_back({"mpiexec.hydra",
                          [=] { return TimeCommand({"mpiexec.hydra", "-n", count, "/bin/true"}); },
                          {}});
  }
  Compete("launch + exit of " + count + " x true", std::move(contenders), runs);
}

/// Eight sleepers; `victim_seconds` marks the one that is killed. Time from its death to the
/// launcher's return.
std::optional<double> TimeLoss(const Words& launcher) {
  Words words = launcher;
  // Each rank tells its pid by a file; the last one to come is enough to know that all run.
  char folder[] = "/tmp/lockstep-bench.XXXXXX";
  if (::mkdtemp(folder) == nullptr) return std::nullopt;
  words.insert(words.end(),
               {"/bin/sh", "-c", std::string("echo $$ > ") + folder + "/$$; exec sleep 60"});
  const pid_t pid = Start(words);
  const std::string count_files = std::string("[ $(ls ") + folder + " | wc -l) = 8 ]";
  for (int i = 0; i < 400 && std::system(count_files.c_str()) != 0; ++i) ::poll(nullptr, 0, 25);
  FILE* list = ::popen((std::string("ls ") + folder + " | head -1").c_str(), "r");
  char name[32] = {};
  const bool found = list != nullptr && std::fgets(name, sizeof name, list) != nullptr;
  if (list != nullptr) ::pclose(list);
  std::optional<double> time;
  if (found) {
    const auto start = Clock::now();
    ::kill(std::atoi(name), SIGKILL);
    if (Finish(pid)) time = Milliseconds(Clock::now() - start);
  } else {
    ::kill(pid, SIGTERM);
    Finish(pid);
  }
  (void)!std::system((std::string("rm -rf ") + folder).c_str());
  return time;
}

void LossOfARank(const std::string& lockstep, int runs) {
  std::vector<Contender> contenders;
  contenders.push_back({"lockstep, grace 0",
                        [=] { return TimeLoss({lockstep, "run", "-np", "8", "--grace=0s"}); },
                        {}});
  if (OnPath("mpirun.openmpi")) {
    contenders.push_back(
        {"mpirun.openmpi",
         [] { return TimeLoss({"mpirun.openmpi", "--oversubscribe", "-np", "8"}); },
         {}});
  }
  if (OnPath("mpiexec.hydra")) {
    contenders.push_back(
        {"mpiexec.hydra", [] { return TimeLoss({"mpiexec.hydra", "-n", "8"}); }, {}});
  }
  Compete("SIGKILL of 1 of 8 ranks -> launcher returned", std::move(contenders), runs);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s LOCKSTEP [RUNS]\n", argv[0]);
    return 64;
  }
  const std::string lockstep = argv[1];
  const int runs = argc > 2 ? std::atoi(argv[2]) : 21;
  ::setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
  ::setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
  Compete("lockstep version",
          {{"lockstep version", [=] { return TimeCommand({lockstep, "version"}); }, {}},
           {"/bin/true", [] { return TimeCommand({"/bin/true"}); }, {}}},
          runs);
  for (const int ranks : {1, 2, 8, 32}) LaunchAndExit(lockstep, ranks, runs);
  LossOfARank(lockstep, std::min(runs, 5));
  return 0;
}
