// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROCESS_REPLACE_PROCESS_H_
#define LOCKSTEP_RUNTIME_PROCESS_REPLACE_PROCESS_H_

#include <string>
#include <vector>

#include "runtime/base/status.h"

namespace lockstep::process {

/// This process becomes `arguments[0]`, looked up on PATH of `environment` ("KEY=VALUE", complete)
/// unless it has a slash. Pid, parent, descriptors that are not close-on-exec, mask, dispositions
/// that are no handlers: everything stays as it is. Returns only when that failed.
/// Errors: NotFound - program, or interpreter of a script (named), missing; PermissionDenied - not
/// executable; InvalidArgument - wrong architecture, not a program, an empty name;
/// ResourceExhausted - arguments and environment too long; else errno's code.
base::Status ReplaceProcess(const std::vector<std::string>& arguments,
                            const std::vector<std::string>& environment);

}  // namespace lockstep::process

#endif  // LOCKSTEP_RUNTIME_PROCESS_REPLACE_PROCESS_H_
