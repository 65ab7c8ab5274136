// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_DIAGNOSIS_STACKS_PYTHON_STACKS_H_
#define LOCKSTEP_LAUNCHER_DIAGNOSIS_STACKS_PYTHON_STACKS_H_

#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/proto/stacks.pb.h"

namespace lockstep::launcher {

/// Threads of a Python program as `py-spy dump --json` (0.3 and 0.4) tells them, the main one
/// first. At most 64 threads of 64 frames; the rest is left out. Any thread.
/// Errors: DataLoss - it is no such list.
base::Result<std::vector<proto::ThreadStack>> ParsePySpy(const std::string& json);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_DIAGNOSIS_STACKS_PYTHON_STACKS_H_
