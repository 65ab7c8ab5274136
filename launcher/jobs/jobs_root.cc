// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/jobs/jobs_root.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/errno_status.h"
#include "runtime/net/socket_directory.h"

namespace lockstep::launcher {
namespace {

/// `path` and the folders above it that are missing, each for the user alone.
base::Status MakeAll(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return base::OkStatus();
  const size_t slash = path.rfind('/');
  if (errno != ENOENT || slash == 0 || slash == std::string::npos) {
    return base::ErrnoStatus(errno, "make folder " + path);
  }
  RETURN_IF_ERROR(MakeAll(path.substr(0, slash)));
  if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return base::OkStatus();
  return base::ErrnoStatus(errno, "make folder " + path);
}

base::Status MakeUsable(const std::string& path) {
  RETURN_IF_ERROR(MakeAll(path));
  if (::access(path.c_str(), R_OK | W_OK | X_OK) == 0) return base::OkStatus();
  return base::ErrnoStatus(errno, "use folder " + path);
}

}  // namespace

base::Result<JobsRoot> FindJobsRoot(const JobsRootEnvironment& environment, uid_t uid) {
  if (!environment.lockstep_home.empty()) {
    std::string path = environment.lockstep_home + "/jobs";
    RETURN_IF_ERROR(MakeUsable(path).WithFrame("LOCKSTEP_HOME"));
    return JobsRoot{.path = std::move(path)};
  }
  std::string why = "HOME is not set";
  std::string usual;
  if (environment.xdg_state_home.starts_with('/')) {
    usual = environment.xdg_state_home + "/lockstep/jobs";
  } else if (environment.home.starts_with('/')) {
    usual = environment.home + "/.local/state/lockstep/jobs";
  }
  if (!usual.empty()) {
    const base::Status usable = MakeUsable(usual);
    if (usable.ok()) return JobsRoot{.path = std::move(usual)};
    why = usable.message();
  }
  const std::string parent = environment.temporary_root + "/lockstep-" + std::to_string(uid);
  RETURN_IF_ERROR(net::EnsurePrivateDirectory(parent, uid));
  RETURN_IF_ERROR(MakeUsable(parent + "/jobs"));
  return JobsRoot{.path = parent + "/jobs",
                  .note = "job directories are kept in " + parent + "/jobs (" + why +
                          "); set LOCKSTEP_HOME to keep them elsewhere"};
}

}  // namespace lockstep::launcher
