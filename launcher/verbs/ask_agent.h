// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_VERBS_ASK_AGENT_H_
#define LOCKSTEP_LAUNCHER_VERBS_ASK_AGENT_H_

#include "launcher/jobs/job_store.h"
#include "launcher/verbs/verb_context.h"
#include "runtime/base/result.h"
#include "runtime/proto/control.pb.h"

namespace lockstep::launcher {

/// Sends one request to the agent of a live job and returns its answer; the version is filled in
/// here. Any thread. Blocks: up to `limit`.
/// Errors: NotFound, Unavailable - it does not listen: not yet, or no longer; DeadlineExceeded - it
/// listens and does not answer: it is stopped, or stuck; else as net::BlockingCall, or what the
/// agent answered.
base::Result<proto::ControlReply> AskAgent(const VerbContext& context, const JobEntry& job,
                                           proto::ControlRequest request, base::Duration limit);

/// The whole status of a live job, in as many requests as that takes; ranks have the hosts of their
/// nodes. `live`: as StatusRequest has it. Any thread. Blocks: up to `limit`. Errors: as AskAgent.
base::Result<proto::StatusReply> AskStatus(const VerbContext& context, const JobEntry& job,
                                           base::Duration limit, bool live = false);

/// Whether such an error means that nobody listens. What an agent answers never does, whatever its
/// code: that the agent of a member has no coordinator is no end of the job.
bool NobodyListens(const base::Status& error);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_VERBS_ASK_AGENT_H_
