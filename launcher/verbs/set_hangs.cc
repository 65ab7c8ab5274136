// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verbs/set_hangs.h"

#include <chrono>
#include <cstdio>

#include "launcher/verbs/ask_agent.h"
#include "runtime/proto/control.pb.h"

namespace lockstep::launcher {
namespace {

constexpr base::Duration kAnswerLimit = std::chrono::seconds(5);

std::string Text(int64_t nanoseconds) { return base::FormatDuration(base::Duration(nanoseconds)); }

}  // namespace

base::Status SetHangs(const VerbContext& context, const SetHangsOptions& options) {
  ASSIGN_OR_RETURN(const JobEntry job, OpenStore(context).Find(options.job));
  if (job.condition != JobCondition::kLive) {
    return base::FailedPreconditionError("job " + job.id +
                                         " does not run on this machine: there is nothing to set");
  }
  proto::ControlRequest request;
  proto::HangsRequest& hangs = *request.mutable_hangs();
  if (options.grace) hangs.set_grace_ns(options.grace->count());
  if (options.action_after) hangs.set_action_after_ns(options.action_after->count());
  if (options.init_deadline) hangs.set_init_deadline_ns(options.init_deadline->count());
  if (options.deadline) hangs.set_deadline_ns(options.deadline->count());
  ASSIGN_OR_RETURN(const proto::ControlReply reply, AskAgent(context, job, request, kAnswerLimit));
  std::fprintf(context.out,
               "job %s: ranks that wait are told after %s; a rank that may be healthy is blamed "
               "after %s, one that has not begun yet after %s, one in a declared phase after %s\n",
               job.id.c_str(), Text(reply.hangs().grace_ns()).c_str(),
               Text(reply.hangs().action_after_ns()).c_str(),
               Text(reply.hangs().init_deadline_ns()).c_str(),
               Text(reply.hangs().deadline_ns()).c_str());
  return base::OkStatus();
}

}  // namespace lockstep::launcher
