// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/exec/adopted_desk.h"

#include "runtime/base/status.h"
#include "runtime/proto/status_conversion.h"

namespace lockstep::launcher {

void AdoptedDesk::Answer(const proto::ControlRequest& request, Reply reply) {
  proto::ControlReply answer;
  switch (request.kind_case()) {
    case proto::ControlRequest::kStatus:
      *answer.mutable_status() = deps_.status(request.status().live());
      break;
    case proto::ControlRequest::kStop: *answer.mutable_stop() = deps_.stop(request.stop()); break;
    case proto::ControlRequest::kReadOutput:
      *answer.mutable_error() = proto::ToProto(base::FailedPreconditionError(
          "the output of this job's ranks is with " + deps_.launcher + ", which has started them"));
      break;
    case proto::ControlRequest::kHangs: {
      const auto times = deps_.hangs(request.hangs());
      if (times.ok()) *answer.mutable_hangs() = *times;
      if (!times.ok()) *answer.mutable_error() = proto::ToProto(times.status());
      break;
    }
    case proto::ControlRequest::kStacks:  // verbs look at this host's ranks themselves
    case proto::ControlRequest::kLook:    // only its coordinator has a node look
    case proto::ControlRequest::KIND_NOT_SET:
      *answer.mutable_error() = proto::ToProto(
          base::InvalidArgumentError("a control request that this agent does not know; use the "
                                     "lockstep that started the job"));
      break;
  }
  reply(answer);
}

proto::StatusReply AdoptedStatus(const AdoptedRanks& ranks,
                                 const std::map<base::Rank, int64_t>& steps) {
  proto::StatusReply status;
  status.set_phase("running");
  status.set_launcher(ranks.launcher());
  status.set_rank_count(ranks.world_size());
  status.set_ranks_awaited(ranks.AwaitedCount());
  for (const auto& [rank, known] : ranks.ranks()) {
    proto::RankStatus& line = *status.add_ranks();
    line.set_rank(rank.value());
    line.set_pid(known.pid);
    line.set_life(known.ended ? "ended" : "alive");
    const auto step = steps.find(rank);
    if (step != steps.end()) line.set_step(step->second);
  }
  return status;
}

}  // namespace lockstep::launcher
