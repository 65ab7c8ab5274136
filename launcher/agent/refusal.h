// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_REFUSAL_H_
#define LOCKSTEP_LAUNCHER_AGENT_REFUSAL_H_

#include "runtime/base/status.h"

/// Why an agent that came by itself was not let into the job. Pure functions.
namespace lockstep::launcher {

/// With what a user can do about it, where the status itself does not say: of a peer that did not
/// prove that it is of our job (PermissionDenied).
base::Status ExplainRefusal(const base::Status& why);

/// kUsage: another line, or another host, is needed; kUnavailable: the same line may do another
/// time.
int ExitStatusOfRefusal(const base::Status& why);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_REFUSAL_H_
