// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_FRONT_FRONT_H_
#define LOCKSTEP_LAUNCHER_FRONT_FRONT_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>

#include "runtime/base/unique_fd.h"

namespace lockstep::launcher {

/// What the agent's process does: gets its end of the link and the pid of the front that guards it,
/// returns the exit status of `lockstep run`.
using AgentBody = std::function<int(base::UniqueFd link, pid_t front)>;

/// How an agent ended, as the front that outlives it knows.
struct AgentEnd {
  enum class How : uint8_t {
    kNeverStarted,
    kExited,  // and has written down how the job ended, if it could
    kKilled,  // what it left has been ended
  };
  How how = How::kExited;
  int exit_status = 0;  // of `lockstep run`
  std::string why;      // of a status other than 0, in words
};

struct FrontOptions {
  /// Go into the background once the ranks run; the terminal's owner gets its prompt back.
  bool detach = false;
  /// With detach: where standard output and error go from then on.
  std::string detached_output_path;
  /// With detach: printed to standard output when the ranks run ("job mnist-x1y2 started\n").
  std::function<std::string()> started_message;
  /// Called once, at the very end, in the process that guards the agent: writes down what the agent
  /// could not.
  std::function<void(const AgentEnd& end)> on_agent_end;
};

/// The process that a user sees: `lockstep run` itself. It forks the agent, which does all the work
/// in a session of its own, and then only
/// - hands the signals it gets to the agent (INT, TERM, HUP, QUIT, USR1, USR2, CONT; TSTP stops the
/// ranks, then itself),
/// - returns the agent's exit status, and
/// - if the agent dies without one (SIGKILL, crash), ends everything the agent left behind and says
/// so, and
/// - kills an agent that does not answer a signal that asks for the job's end: 10 s after the first
/// one, 2 s after a second. Of one that somebody has stopped (a rank can) it asks that by a CONT.
///
/// It is a subreaper, so whatever the agent leaves becomes its child. If it dies first, the agent
/// sees the link's end of file and tears the gang down. Call once, from a process that is still
/// single-threaded. Returns the exit status. Blocks: for the job's life (with detach: until the
/// ranks have started or failed to).
int RunFront(const FrontOptions& options, const AgentBody& agent);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_FRONT_FRONT_H_
