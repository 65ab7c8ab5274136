// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_CONTROL_SERVER_H_
#define LOCKSTEP_LAUNCHER_AGENT_CONTROL_SERVER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "runtime/base/result.h"
#include "runtime/event/loop.h"
#include "runtime/net/channel_server.h"
#include "runtime/proto/control.pb.h"

namespace lockstep::launcher {

inline constexpr uint32_t kControlVersion = 1;

/// What the verbs may ask of a job. Calls come on the loop's thread.
class ControlTarget {
 public:
  virtual ~ControlTarget() = default;
  virtual proto::StatusReply GetStatus() const = 0;
  /// The teardown has begun when it returns.
  virtual proto::StopReply StopByVerb(const proto::StopRequest& request) = 0;
};

/// Answers the verbs (ps, status, stop) of the job's user on a unix socket: one ControlReply for
/// each ControlRequest. Owned by the agent; confined to the loop's thread.
class ControlServer {
 public:
  /// Errors: as net::ChannelServer::Listen.
  static base::Result<std::unique_ptr<ControlServer>> Create(const std::string& path,
                                                             ControlTarget& target,
                                                             event::Loop& loop);

 private:
  explicit ControlServer(ControlTarget& target) : target_(target) {}
  void OnMessage(net::ConnectionId connection, std::string_view payload);
  proto::ControlReply Answer(const proto::ControlRequest& request);

  ControlTarget& target_;
  std::unique_ptr<net::ChannelServer> server_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_CONTROL_SERVER_H_
