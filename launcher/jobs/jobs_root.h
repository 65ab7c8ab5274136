// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_JOBS_JOBS_ROOT_H_
#define LOCKSTEP_LAUNCHER_JOBS_JOBS_ROOT_H_

#include <sys/types.h>

#include <string>

#include "runtime/base/result.h"

namespace lockstep::launcher {

/// Values of the environment variables that decide; "" when unset.
struct JobsRootEnvironment {
  std::string lockstep_home;
  std::string xdg_state_home;
  std::string home;
  std::string temporary_root = "/tmp";
};

struct JobsRoot {
  std::string path;
  /// For people: why it is not in the usual place; "" when it is.
  std::string note;
};

/// The folder that holds the job directories of `uid`, made (mode 0700) when it is missing:
/// $LOCKSTEP_HOME/jobs when that is set, and nothing else then; else $XDG_STATE_HOME/lockstep/jobs;
/// else $HOME/.local/state/lockstep/jobs; else, when HOME is unset or cannot be written,
/// /tmp/lockstep-<uid>/jobs with a note. Cheap when it exists: two calls. Errors: PermissionDenied
/// - LOCKSTEP_HOME cannot be written, or the folder in /tmp belongs to somebody else; else errno's
/// code.
base::Result<JobsRoot> FindJobsRoot(const JobsRootEnvironment& environment, uid_t uid);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_JOBS_JOBS_ROOT_H_
