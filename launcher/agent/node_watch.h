// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_NODE_WATCH_H_
#define LOCKSTEP_LAUNCHER_AGENT_NODE_WATCH_H_

#include <chrono>
#include <functional>
#include <vector>

#include "launcher/diagnosis/pace_looks.h"
#include "launcher/diagnosis/rank_looks.h"
#include "runtime/base/clock.h"
#include "runtime/event/loop.h"
#include "runtime/proto/control.pb.h"

namespace lockstep::launcher {

/// What a member's agent does for the coordinator's HangWatch: looks at the heads of its ranks'
/// rings, tells when one of them begins to wait without progress and when that is over, and sends
/// everything when it is asked. A gang that goes on costs no message but the coordinator's request
/// how fast its ranks go, once in a window. One per such agent, owned by it. Confined to the loop's
/// thread.
class NodeWatch {
 public:
  struct Config {
    base::Duration look_every = std::chrono::milliseconds(250);
    base::Duration least_wait = std::chrono::milliseconds(500);
  };
  struct Deps {
    event::Loop& loop;
    std::function<std::vector<WatchedRank>()> ranks;  // of this node, of the round that runs
    std::function<void(bool stands)> say;             // when it has changed
  };

  NodeWatch(const Config& config, Deps deps);
  NodeWatch(const NodeWatch&) = delete;
  NodeWatch& operator=(const NodeWatch&) = delete;

  /// As much of it as fits into a message.
  proto::LookReply Answer(const proto::LookRequest& request);

 private:
  void ScheduleLook();
  void Look();

  const Config config_;
  const Deps deps_;
  event::Registration timer_;
  RankLooks looks_;
  PaceLooks paces_;
  bool stands_ = false;  // as told
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_NODE_WATCH_H_
