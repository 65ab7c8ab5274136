// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROCESS_OWNED_PROCESSES_H_
#define LOCKSTEP_RUNTIME_PROCESS_OWNED_PROCESSES_H_

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "runtime/process/proc_scan.h"

namespace lockstep::process {

/// Somebody whose descendants are looked for.
struct ProcessOwner {
  uint64_t serial = 0;
  pid_t leader = 0;  // its own session's and group's number too
  std::string mark;  // in the environment of all that it made
};

/// The processes below this one at one moment, by whose they are.
struct OwnedProcesses {
  std::map<uint64_t, std::vector<ProcStat>> members;  // living ones, by the owner's serial
  std::vector<ProcStat> strays;                       // living ones; whose, nobody can tell
  bool seen = true;                                   // /proc could be read
  // Nobody but leaders died just now, and nobody's mark was out of sight: no one can have slipped
  // through by forking and leaving.
  bool settled = true;
};

/// Looks at all of /proc, unless this process has no children. Those that it adopted as a subreaper
/// are known by their session, their group or their mark; all others belong to whom their parent
/// belongs. Where two owners have one leader's number, it is the later one's in `owners`.
OwnedProcesses FindOwnedProcesses(const std::vector<ProcessOwner>& owners);

}  // namespace lockstep::process

#endif  // LOCKSTEP_RUNTIME_PROCESS_OWNED_PROCESSES_H_
