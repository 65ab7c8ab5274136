// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_MEMBER_DESK_H_
#define LOCKSTEP_LAUNCHER_AGENT_MEMBER_DESK_H_

#include <functional>
#include <utility>

#include "launcher/agent/control_server.h"
#include "launcher/agent/node_runtime.h"
#include "launcher/agent/node_watch.h"
#include "launcher/cluster/questions.h"
#include "runtime/base/result.h"
#include "runtime/proto/control.pb.h"

namespace lockstep::launcher {

/// What verbs on a member's node ask of the job, and its coordinator of the node. What is not this
/// node's it passes on to the coordinator. One per member's agent, owned by it, once it is in the
/// job. Confined to the loop's thread.
class MemberDesk final : public ControlTarget {
 public:
  struct Deps {
    NodeRuntime& node;
    NodeWatch& watch;
    /// Asks the coordinator.
    std::function<void(const proto::ControlRequest&, Questions::OnReply)> ask;
  };

  explicit MemberDesk(Deps deps) : deps_(std::move(deps)) {}

  /// Of verbs on this node.
  void Answer(const proto::ControlRequest& request, OnAnswer answer) override;
  /// Of the coordinator. Errors: Unimplemented.
  void AnswerCoordinator(const proto::ControlRequest& request, OnAnswer answer);

 private:
  /// Whether it is about ranks of this node; it has been answered then.
  bool AnswerHere(const proto::ControlRequest& request, const OnAnswer& answer);

  const Deps deps_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_MEMBER_DESK_H_
