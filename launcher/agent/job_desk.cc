// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/job_desk.h"

#include "runtime/base/status.h"

namespace lockstep::launcher {

void JobDesk::Answer(const proto::ControlRequest& request, OnAnswer answer) {
  proto::ControlReply reply;
  switch (request.kind_case()) {
    case proto::ControlRequest::kStatus: return deps_.status(request.status(), std::move(answer));
    case proto::ControlRequest::kStop: *reply.mutable_stop() = deps_.stop(request.stop()); break;
    case proto::ControlRequest::kReadOutput: {
      OutputService& service = deps_.node.output_service();
      if (!service.IsHere(request.read_output()))
        return PassOn(request.read_output().node(), request, std::move(answer));
      return service.Answer(request.read_output(), std::move(answer));
    }
    case proto::ControlRequest::kStacks:
      if (request.stacks().node() != deps_.node.self().value())
        return PassOn(request.stacks().node(), request, std::move(answer));
      return deps_.node.stacks().Answer(request.stacks(), std::move(answer));
    case proto::ControlRequest::kHangs: {
      const auto times = deps_.hangs(request.hangs());
      if (!times.ok()) return answer(Refusal(times.status()));
      *reply.mutable_hangs() = *times;
      break;
    }
    case proto::ControlRequest::kLook:  // only its coordinator has a node look
    case proto::ControlRequest::KIND_NOT_SET:
      reply = Refusal(base::InvalidArgumentError(
          "a control request that this agent does not know; use the lockstep that started the "
          "job"));
      break;
  }
  answer(std::move(reply));
}

void JobDesk::PassOn(int32_t node, const proto::ControlRequest& request, OnAnswer answer) {
  if (!ask_) return answer(Refusal(base::NotFoundError("job " + job_id_ + " has one node")));
  ask_(base::NodeIndex(node), request, std::move(answer));
}

}  // namespace lockstep::launcher
