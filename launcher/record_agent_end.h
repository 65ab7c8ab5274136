// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_RECORD_AGENT_END_H_
#define LOCKSTEP_LAUNCHER_RECORD_AGENT_END_H_

#include <string>

#include "launcher/front/front.h"
#include "launcher/jobs/job_directory.h"
#include "launcher/verbs/verb_context.h"

namespace lockstep::launcher {

/// What a front writes down once its agent is no more: how the job ended, unless the agent has said
/// so; and that nothing of it is left here. `log_directory`: of the job; "" = in its directory.
/// What fails is said on standard error.
void RecordAgentEnd(const VerbContext& context, JobDirectory& directory,
                    const std::string& log_directory, const AgentEnd& end);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_RECORD_AGENT_END_H_
