// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_CLUSTER_WELCOME_CHECK_H_
#define LOCKSTEP_LAUNCHER_CLUSTER_WELCOME_CHECK_H_

#include "runtime/base/status.h"
#include "runtime/proto/agent.pb.h"

namespace lockstep::launcher {

/// Whether what a coordinator says of its job can be: the id is a plain name (it becomes one of a
/// folder and of sockets), the job is one that Validate() takes, arguments and folder are such as a
/// process can have, and the times are within the limits of job.proto. Whether `node` is our place
/// is the member's to say. A pure function, for any thread.
/// Errors: InvalidArgument - which field, without repeating what it holds.
base::Status CheckWelcome(const proto::Welcome& welcome);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_CLUSTER_WELCOME_CHECK_H_
