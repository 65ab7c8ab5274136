// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_ENGINE_ATTACH_STATUS_H_
#define LOCKSTEP_COLLECTIVES_ENGINE_ATTACH_STATUS_H_

#include "runtime/attach/attach_client.h"
#include "runtime/base/status.h"

namespace lockstep::collectives {

/// What a call of the attach client that returned `result` (not OK) means. `doing` says what was
/// attempted. Codes: the agent's own; Unavailable - no answer in time, agent gone or not there;
/// InvalidArgument - another protocol; FailedPrecondition - a forked child, or unusable socket path
/// or cookie; ResourceExhausted - no descriptors.
base::Status AttachStatus(int result, const lockstep_attach_error& error, const char* doing);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_ENGINE_ATTACH_STATUS_H_
