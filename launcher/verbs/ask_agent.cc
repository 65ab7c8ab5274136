// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verbs/ask_agent.h"

#include <utility>

#include "launcher/agent/control_server.h"
#include "launcher/jobs/job_addresses.h"
#include "runtime/base/status.h"
#include "runtime/net/blocking_client.h"
#include "runtime/proto/status_conversion.h"

namespace lockstep::launcher {
namespace {

/// The one that the agent wrote down, since the folder hangs on each command's environment.
std::string SocketOf(const VerbContext& context, const JobEntry& job) {
  if (!job.state.socket_path().empty()) return job.state.socket_path();
  return ControlSocketPath(context.socket_directory, job.id);
}

void SetHosts(proto::StatusReply& status) {
  for (proto::RankStatus& rank : *status.mutable_ranks()) {
    if (rank.node() < 0 || rank.node() >= status.nodes_size()) continue;
    if (rank.host().empty()) rank.set_host(status.nodes(rank.node()).host());
  }
}

}  // namespace

base::Result<proto::ControlReply> AskAgent(const VerbContext& context, const JobEntry& job,
                                           proto::ControlRequest request, base::Duration limit) {
  request.set_version(kControlVersion);
  proto::ControlReply reply;
  const base::Status called = net::BlockingCall(SocketOf(context, job), request, &reply,
                                                context.clock.Now() + limit, context.clock);
  const std::string frame =
      "ask the agent of " + job.id + " (pid " + std::to_string(job.state.agent().pid()) + ")";
  // The class tells it from what an agent answers, which may have the same code.
  if (!called.ok()) return called.WithFrame(frame).WithClass(base::FailureClass::kNetwork);
  if (!reply.has_error()) return reply;
  const base::Status refused = proto::FromProto(reply.error());
  if (refused.ok())
    return base::InternalError(frame + ": it answered with an error without a code");
  return refused.WithFrame(frame).WithClass(base::FailureClass::kUnspecified);
}

base::Result<proto::StatusReply> AskStatus(const VerbContext& context, const JobEntry& job,
                                           base::Duration limit, bool live) {
  const base::SteadyTime deadline = context.clock.Now() + limit;
  proto::StatusReply status;
  int row = 0;
  do {
    proto::ControlRequest request;
    request.mutable_status()->set_first_row(row);
    request.mutable_status()->set_live(live);
    ASSIGN_OR_RETURN(proto::ControlReply reply,
                     AskAgent(context, job, request, deadline - context.clock.Now()));
    proto::StatusReply& page = *reply.mutable_status();
    if (page.next_row() != 0 && page.next_row() <= row) {
      return base::InternalError("ask the agent of " + job.id + ": it tells the same rows again");
    }
    row = page.next_row();
    status.MergeFrom(page);
    status.set_next_row(0);
  } while (row > 0);
  SetHosts(status);
  return status;
}

bool NobodyListens(const base::Status& error) {
  if (error.failure_class() != base::FailureClass::kNetwork) return false;
  return error.code() == base::Code::kNotFound || error.code() == base::Code::kUnavailable;
}

}  // namespace lockstep::launcher
