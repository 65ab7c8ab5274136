// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/bench/command.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <sstream>

#include "runtime/base/unique_fd.h"
#include "runtime/process/descendants.h"

namespace lockstep::bench {
namespace {

using namespace std::chrono_literals;

base::SteadyTime Now() { return base::RealClock().Now(); }

}  // namespace

Command::Command(const Words& words, Streams streams) {
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  const auto give = [&actions](int fd, int as, int flags) {
    if (fd >= 0) {
      ::posix_spawn_file_actions_adddup2(&actions, fd, as);
    } else {
      ::posix_spawn_file_actions_addopen(&actions, as, "/dev/null", flags, 0);
    }
  };
  give(streams.in, STDIN_FILENO, O_RDONLY);
  give(streams.out, STDOUT_FILENO, O_WRONLY);
  // For a look at what a contender complains about.
  if (streams.err >= 0 || std::getenv("LOCKSTEP_BENCH_STDERR") == nullptr) {
    give(streams.err, STDERR_FILENO, O_WRONLY);
  }
  started_at_ = Now();
  if (::posix_spawnp(&pid_, argv[0], &actions, nullptr, argv.data(), environ) != 0) pid_ = -1;
  ::posix_spawn_file_actions_destroy(&actions);
}

Command::~Command() {
  const base::Status ended = process::KillDescendants(10s);
  if (!ended.ok()) std::fprintf(stderr, "left behind: %s\n", ended.ToString().c_str());
}

void Command::Signal(int signal) const {
  if (pid_ > 0) ::kill(pid_, signal);
}

std::optional<base::SteadyTime> Command::WaitForEnd(base::Duration at_most, bool success_needed) {
  if (pid_ <= 0) return std::nullopt;
  const base::UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  pollfd fd{pidfd.get(), POLLIN, 0};
  const auto limit = std::chrono::duration_cast<std::chrono::milliseconds>(at_most);
  if (::poll(&fd, 1, static_cast<int>(limit.count())) != 1) return std::nullopt;
  int status = 0;
  ::waitpid(pid_, &status, 0);
  const base::SteadyTime ended_at = Now();
  pid_ = -1;
  if (success_needed && status != 0) return std::nullopt;
  return ended_at;
}

double Milliseconds(base::Duration time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

bool OnPath(const std::string& program) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path != nullptr ? path : "/usr/bin:/bin");
  for (std::string folder; std::getline(folders, folder, ':');) {
    folder.append("/").append(program);
    if (::access(folder.c_str(), X_OK) == 0) return true;
  }
  return false;
}

}  // namespace lockstep::bench
