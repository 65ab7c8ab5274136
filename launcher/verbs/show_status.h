// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_VERBS_SHOW_STATUS_H_
#define LOCKSTEP_LAUNCHER_VERBS_SHOW_STATUS_H_

#include <string>

#include "launcher/verbs/verb_context.h"
#include "runtime/base/status.h"

namespace lockstep::launcher {

struct ShowStatusOptions {
  std::string job;    // id, name, or the beginning of an id
  bool json = false;  // one object: a StatusReply; once ended with "exit_code" and "verdict" too
};

/// `lockstep status`: what the agent says of its job and of each rank; of a job that has none (any
/// more), what its directory says. Then `phase` is "ended", "lost", "elsewhere" or "starting" and
/// there are no ranks. Blocks: 5 s for the agent's answer.
/// Errors: as JobStore::Find; DeadlineExceeded - the agent is stopped or stuck; else as AskAgent.
base::Status ShowStatus(const VerbContext& context, const ShowStatusOptions& options);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_VERBS_SHOW_STATUS_H_
