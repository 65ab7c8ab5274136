// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_CONFIG_PROGRAM_ARGUMENTS_H_
#define LOCKSTEP_LAUNCHER_CONFIG_PROGRAM_ARGUMENTS_H_

#include <optional>
#include <string>
#include <vector>

#include "runtime/proto/job.pb.h"
#include "runtime/topology/environment.h"

/// From the program as the job names it to what is executed. Pure functions.
namespace lockstep::launcher {

/// argv of every rank. `environment` is what ranks inherit (PYTHON_EXEC is looked up in the
/// program's own variables, then there). A name without a slash is left for the process runner to
/// find on PATH.
std::vector<std::string> ProgramArguments(const proto::Program& program,
                                          const topology::Environment& environment);

/// Which of ProgramArguments() is the file that the job brings: the program, or what Python reads;
/// none of a Python module, which Python finds itself.
std::optional<int> ProgramWord(const proto::Program& program);

/// A job name made from the program's: "train" of ["/home/me/train.py"]; "job" when nothing of it
/// can be used.
std::string DefaultJobName(const proto::Program& program);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_CONFIG_PROGRAM_ARGUMENTS_H_
