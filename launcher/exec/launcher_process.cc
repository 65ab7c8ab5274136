// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/exec/launcher_process.h"

#include <poll.h>

#include <optional>

namespace lockstep::launcher {
namespace {

constexpr int kLevelsMax = 64;
// One in the midst of an exec is out of it within microseconds.
constexpr int kLooksMax = 20;

bool WasStartedWith(pid_t pid, const std::string& variable, const std::string& value) {
  std::optional<std::string> found;
  for (int look = 0; !found && look < kLooksMax; ++look) {
    if (look > 0) ::poll(nullptr, 0, 1);
    found = process::ReadVariable(pid, variable);
  }
  return found == value;
}

}  // namespace

base::Result<process::ProcStat> FindLauncherProcess(pid_t rank_pid,
                                                    const std::string& rank_variable,
                                                    const std::string& value) {
  std::optional<process::ProcStat> above = process::ReadProcStat(rank_pid);
  for (int level = 0; above && level < kLevelsMax; ++level) {
    const pid_t parent = above->parent;
    if (parent == 0) return process::ProcStat();
    above = process::ReadProcStat(parent);
    if (!above) break;
    const std::optional<process::ProcStat> next = process::ReadProcStat(above->parent);
    if (!above->execed && next && next->session == above->session) continue;
    if (!WasStartedWith(parent, rank_variable, value)) return *std::move(above);
  }
  return base::UnavailableError(
      "find the launcher of process " + std::to_string(rank_pid) +
      ": the processes above it cannot be seen; is /proc mounted? --job KEY names the job without");
}

}  // namespace lockstep::launcher
