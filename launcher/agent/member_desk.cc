// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/member_desk.h"

#include "runtime/base/status.h"

namespace lockstep::launcher {

bool MemberDesk::AnswerHere(const proto::ControlRequest& request, const OnAnswer& answer) {
  NodeRuntime& node = deps_.node;
  if (request.has_read_output() && node.output_service().IsHere(request.read_output())) {
    node.output_service().Answer(request.read_output(), answer);
    return true;
  }
  if (request.has_stacks() && request.stacks().node() == node.self().value()) {
    node.stacks().Answer(request.stacks(), answer);
    return true;
  }
  return false;
}

void MemberDesk::Answer(const proto::ControlRequest& request, OnAnswer answer) {
  if (AnswerHere(request, answer)) return;
  deps_.ask(request, [this, request,
                      answer = std::move(answer)](const base::Result<proto::ControlReply>& reply) {
    const proto::ControlReply said = reply.ok() ? *reply : Refusal(reply.status());
    // It reads another node's files through this agent.
    deps_.node.output_service().followers().Note(request.read_output(), said);
    answer(said);
  });
}

void MemberDesk::AnswerCoordinator(const proto::ControlRequest& request, OnAnswer answer) {
  if (request.has_look()) {
    proto::ControlReply reply;
    *reply.mutable_look() = deps_.watch.Answer(request.look());
    return answer(std::move(reply));
  }
  if (AnswerHere(request, answer)) return;
  answer(Refusal(base::UnimplementedError("this agent does not know such a request")));
}

}  // namespace lockstep::launcher
