// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROCESS_SPAWN_ERROR_H_
#define LOCKSTEP_RUNTIME_PROCESS_SPAWN_ERROR_H_

#include <string>

#include "runtime/base/result.h"
#include "runtime/base/status.h"
#include "runtime/process/exec_child.h"
#include "runtime/process/processes.h"

namespace lockstep::process {

/// The file that `spec.arguments[0]` means: itself when it has a slash, else the first executable of that name on PATH
/// of `spec.environment`. Relative folders count from `spec.working_directory`.
/// Errors: NotFound - on no folder of PATH (listed); PermissionDenied - found, but not executable.
base::Result<std::string> FindProgram(const SpawnSpec& spec);

/// What a failure on the way to exec means to a person: looks at the file, its interpreter and the limits.
/// `path` is the file that was to be run.
base::Status ExplainExecFailure(const SpawnSpec& spec, const std::string& path, ExecStage stage, int error,
                                int subject);

/// Why no process could be made (clone), with the limit that may apply and the command that raises it.
base::Status ExplainCloneFailure(const SpawnSpec& spec, int error);

/// EMFILE or ENFILE while preparing a spawn, with the limit and the command that raises it; any other errno as it is.
base::Status ExplainDescriptorFailure(const SpawnSpec& spec, const std::string& what, int error);

}  // namespace lockstep::process

#endif  // LOCKSTEP_RUNTIME_PROCESS_SPAWN_ERROR_H_
