// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/owned_processes.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <utility>

namespace lockstep::process {
namespace {

bool HasChildren() {
  siginfo_t info{};
  return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0;
}

using Leaders = std::unordered_map<pid_t, const ProcessOwner*>;

/// Null for a stray; `unknown` is set when it might be somebody's at the next look.
const ProcessOwner* OwnerOf(const ProcStat& orphan, const std::vector<ProcessOwner>& owners,
                            const Leaders& leaders, bool* unknown) {
  for (const pid_t number : {orphan.pid, orphan.session, orphan.group}) {
    if (const auto it = leaders.find(number); it != leaders.end()) return it->second;
  }
  const std::optional<std::string> mark = ReadMark(orphan.pid);
  *unknown = !mark;
  for (const ProcessOwner& owner : owners) {
    if (mark && MarkMatches(*mark, owner.mark)) return &owner;
  }
  return nullptr;
}

}  // namespace

OwnedProcesses FindOwnedProcesses(const std::vector<ProcessOwner>& owners) {
  OwnedProcesses result;
  if (!HasChildren()) return result;  // and so no descendants: saves the look at all of /proc
  const std::vector<ProcStat> all = ScanProcesses();
  result.seen = ShowsThisProcess(all);
  Leaders leaders;
  for (const ProcessOwner& owner : owners) leaders[owner.leader] = &owner;
  std::unordered_map<pid_t, const ProcessOwner*> owner_of;
  for (ProcStat& stat : DescendantsOf(::getpid(), all)) {
    const auto parent = owner_of.find(stat.parent);
    // Children of ours are leaders and orphans; all others belong to whom their parent belongs.
    bool unknown = false;
    const ProcessOwner* const owner =
        parent != owner_of.end() ? parent->second : OwnerOf(stat, owners, leaders, &unknown);
    owner_of[stat.pid] = owner;
    if (unknown) result.settled = false;
    if (stat.dead()) {
      const bool is_leader = owner != nullptr && owner->leader == stat.pid;
      if (!is_leader) result.settled = false;
      continue;
    }
    if (owner != nullptr) {
      result.members[owner->serial].push_back(std::move(stat));
    } else {
      result.strays.push_back(std::move(stat));
    }
  }
  return result;
}

}  // namespace lockstep::process
