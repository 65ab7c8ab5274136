// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_JOB_DESK_H_
#define LOCKSTEP_LAUNCHER_AGENT_JOB_DESK_H_

#include <functional>
#include <string>
#include <utility>

#include "launcher/agent/control_server.h"
#include "launcher/agent/node_runtime.h"
#include "launcher/cluster/questions.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/proto/control.pb.h"

namespace lockstep::launcher {

/// What verbs ask of a job, where its coordinator is: here, or by the agents of other nodes. What
/// is another node's it passes on to that one's agent. One per agent of `lockstep run`, owned by
/// it. Confined to the loop's thread.
class JobDesk final : public ControlTarget {
 public:
  struct Deps {
    NodeRuntime& node;  // this agent's own
    std::function<void(const proto::StatusRequest&, OnAnswer)> status;
    std::function<proto::StopReply(const proto::StopRequest&)> stop;
    std::function<base::Result<proto::HangsReply>(const proto::HangsRequest&)> hangs;
  };
  using AskNode = std::function<void(base::NodeIndex, const proto::ControlRequest&, OnAnswer)>;

  JobDesk(std::string job_id, Deps deps) : job_id_(std::move(job_id)), deps_(std::move(deps)) {}

  /// Of a job of several nodes: asks the agent of another one.
  void SetAskNode(AskNode ask) { ask_ = std::move(ask); }

  /// Errors, as a ControlReply: InvalidArgument - it is no request for a job's coordinator;
  /// NotFound - it has no such node; else as whoever answers it.
  void Answer(const proto::ControlRequest& request, OnAnswer answer) override;

 private:
  void PassOn(int32_t node, const proto::ControlRequest& request, OnAnswer answer);

  const std::string job_id_;
  const Deps deps_;
  AskNode ask_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_JOB_DESK_H_
