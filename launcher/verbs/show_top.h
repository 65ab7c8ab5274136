// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_VERBS_SHOW_TOP_H_
#define LOCKSTEP_LAUNCHER_VERBS_SHOW_TOP_H_

#include <string>

#include "launcher/verbs/verb_context.h"
#include "runtime/base/status.h"

namespace lockstep::launcher {

struct ShowTopOptions {
  std::string job;    // id, name, or the beginning of an id
  bool once = false;  // one look, of all ranks
  bool json = false;  // each look as one object, a StatusReply, in a line
};

/// `lockstep top`: what a job's groups and ranks do, each second anew, on the whole of the terminal
/// until the user or the job ends it; where standard output is no terminal, once. Of a job that has
/// ended by then what `lockstep status` says follows. Blocks: until then; a second for each answer.
/// Errors: as JobStore::Find; NotFound - the job does not run; what the first answer was, as
/// AskAgent.
base::Status ShowTop(const VerbContext& context, const ShowTopOptions& options);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_VERBS_SHOW_TOP_H_
