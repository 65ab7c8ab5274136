// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_VERBS_SET_HANGS_H_
#define LOCKSTEP_LAUNCHER_VERBS_SET_HANGS_H_

#include <optional>
#include <string>

#include "launcher/verbs/verb_context.h"
#include "runtime/base/clock.h"
#include "runtime/base/status.h"

namespace lockstep::launcher {

struct SetHangsOptions {
  std::string job;  // id, name, or the beginning of an id
  /// What is to change; none of them: what is in force is printed.
  std::optional<base::Duration> grace, action_after, init_deadline, deadline;
};

/// `lockstep hangs`: how long ranks of a job that runs may wait for each other, from now on.
/// Blocks: until the agent answers, 5 s at most.
/// Errors: as JobStore::Find; FailedPrecondition - the job does not run here; InvalidArgument - a
/// time is less than 100 ms or more than 24 h; else as AskAgent.
base::Status SetHangs(const VerbContext& context, const SetHangsOptions& options);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_VERBS_SET_HANGS_H_
