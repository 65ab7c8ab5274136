// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_PLACEMENT_AGENT_STARTER_H_
#define LOCKSTEP_LAUNCHER_PLACEMENT_AGENT_STARTER_H_

#include <cstddef>
#include <functional>
#include <vector>

#include "runtime/base/ids.h"
#include "runtime/base/status.h"
#include "runtime/proto/agent.pb.h"

namespace lockstep::launcher {

/// An agent to be started.
struct AgentToStart {
  base::NodeIndex node;
  proto::Bootstrap bootstrap;  // all but what depends on the node's machine
};

/// Starts the agents of a job's other nodes and looks after what it started them with. Whether an
/// agent is up is told by the agent itself, which joins the job. One per job of several nodes,
/// owned by its JobCluster; there is none when the agents come by themselves. Confined to the
/// loop's thread; callbacks come from the loop, never inside a call.
///
///   made --Start()--> starting --every agent has joined--> OnAllJoined() --Finish()--> done
///
/// Destroying it ends what it started, as far as it runs on this machine.
class AgentStarter {
 public:
  /// That node's agent could not be started, or what started it has ended before OnAllJoined(). The
  /// status names the host and the cure. At most once a node.
  using OnFailed = std::function<void(base::NodeIndex node, const base::Status& why)>;

  virtual ~AgentStarter() = default;

  /// How many descriptors of this process each agent takes for as long as it runs.
  virtual size_t DescriptorsOfEach() const = 0;

  /// Once.
  virtual void Start(std::vector<AgentToStart> agents, OnFailed on_failed) = 0;
  /// The job has formed: from now on connections tell what becomes of agents.
  virtual void OnAllJoined() = 0;
  /// That node's agent is heard of no more: what started it is not waited for.
  virtual void OnLost(base::NodeIndex node) = 0;
  /// The job is over, and each agent has said goodbye or is lost: calls `done` when nothing of ours
  /// is left, or after a bounded time.
  virtual void Finish(std::function<void()> done) = 0;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_PLACEMENT_AGENT_STARTER_H_
