// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_PLACEMENT_SSH_FAILURE_H_
#define LOCKSTEP_LAUNCHER_PLACEMENT_SSH_FAILURE_H_

#include <string>
#include <string_view>

#include "runtime/base/status.h"
#include "runtime/process/processes.h"

/// Why a log-in by ssh failed, in words that help. Pure functions, for any thread.
namespace lockstep::launcher {

inline constexpr int kSshFailed = 255;  // exit code of ssh's own failures

struct SshFailure {
  std::string what;       // "sshd refuses connections at port 22"
  std::string cure;       // "start it there, or name its port (--ssh-port)"
  bool may_pass = false;  // another try may find it gone
  bool unreached = true;  // nothing of ours ran on the machine
  base::Code code = base::Code::kUnavailable;

  /// "WHAT; CURE"
  std::string ToString() const { return what + (cure.empty() ? "" : "; " + cure); }
};

/// Of an ssh that ended before the agent had started. `destination` is what it was called with;
/// `said` is what it, or the machine's shell, wrote to standard error.
SshFailure ExplainSshEnd(const std::string& destination, const process::Exit& exit,
                         std::string_view said);

/// Of an agent that ended before it had joined: the shell could not execute it, its loader could
/// not, or it said why itself.
SshFailure ExplainAgentEnd(const process::Exit& exit, std::string_view said);

/// The machine is another one than this program was built for.
SshFailure ExplainOtherMachine(std::string_view machine, std::string_view own_machine);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_PLACEMENT_SSH_FAILURE_H_
