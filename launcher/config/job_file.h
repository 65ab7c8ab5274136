// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_CONFIG_JOB_FILE_H_
#define LOCKSTEP_LAUNCHER_CONFIG_JOB_FILE_H_

#include <string>

#include "runtime/base/result.h"

namespace lockstep::launcher {

/// A job file as it was read, not yet understood.
struct JobFile {
  std::string name;  // for messages: "job.yaml", "stdin"
  std::string text;
};

/// Reads the file of `lockstep run -f`; "-" is standard input. Any thread; blocks as long as a pipe
/// does. Errors: InvalidArgument - it cannot be opened, or has more bytes than a job file may
/// (nothing more is read); errno's code when reading fails.
base::Result<JobFile> ReadJobFile(const std::string& path);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_CONFIG_JOB_FILE_H_
