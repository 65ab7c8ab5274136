// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_CONTROL_SERVER_H_
#define LOCKSTEP_LAUNCHER_AGENT_CONTROL_SERVER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "runtime/base/result.h"
#include "runtime/event/loop.h"
#include "runtime/net/channel_server.h"
#include "runtime/proto/control.pb.h"

namespace lockstep::launcher {

inline constexpr uint32_t kControlVersion = 1;

/// Whom the verbs ask: the agent where the job's coordinator is, or one that passes requests on to
/// it. Calls come on the loop's thread.
class ControlTarget {
 public:
  using Reply = std::function<void(proto::ControlReply)>;

  virtual ~ControlTarget() = default;
  /// Calls `reply` once, now or later. The request speaks our version.
  virtual void Answer(const proto::ControlRequest& request, Reply reply) = 0;
};

/// Answers the verbs (status, logs, stop) of the job's user on a unix socket: one ControlReply for
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
  void Send(net::ConnectionId connection, const proto::ControlReply& reply);

  ControlTarget& target_;
  /// Expires with the server; for replies that come late.
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
  std::unique_ptr<net::ChannelServer> server_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_CONTROL_SERVER_H_
