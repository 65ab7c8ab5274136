// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROCESS_SPAWN_ERROR_H_
#define LOCKSTEP_RUNTIME_PROCESS_SPAWN_ERROR_H_

#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/base/status.h"
#include "runtime/process/exec_child.h"
#include "runtime/process/processes.h"

namespace lockstep::process {

/// The files that `spec.arguments[0]` may mean: itself when it has a slash, else a file of that
/// name in each folder of PATH of `spec.environment`. Relative ones count from
/// `spec.working_directory`. Looks at no file. Errors: InvalidArgument - the name is empty.
base::Result<std::vector<std::string>> ProgramPaths(const SpawnSpec& spec);

/// What a failure on the way to exec means to a person: looks at the files, their interpreters and
/// the limits. `paths` were tried in vain.
base::Status ExplainExecFailure(const SpawnSpec& spec, const std::vector<std::string>& paths,
                                ExecStage stage, int error, int subject);

/// Why no process could be made (clone), with the limit that may apply and the command that raises
/// it.
base::Status ExplainCloneFailure(const SpawnSpec& spec, int error);

}  // namespace lockstep::process

#endif  // LOCKSTEP_RUNTIME_PROCESS_SPAWN_ERROR_H_
