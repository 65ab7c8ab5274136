// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/control_server.h"

#include <signal.h>

#include <utility>

#include "runtime/net/frame.h"
#include "runtime/proto/status_conversion.h"

namespace lockstep::launcher {

base::Result<std::unique_ptr<ControlServer>> ControlServer::Create(const std::string& path,
                                                                   ControlTarget& target,
                                                                   event::Loop& loop) {
  std::unique_ptr<ControlServer> control(new ControlServer(target));
  net::ChannelServer::Options options;
  ASSIGN_OR_RETURN(control->server_,
                   net::ChannelServer::Listen(
                       path,
                       {.on_message =
                            [raw = control.get()](net::ConnectionId id, std::string_view payload) {
                              raw->OnMessage(id, payload);
                            },
                        .on_closed = nullptr},
                       options, loop));
  return control;
}

void ControlServer::OnMessage(net::ConnectionId connection, std::string_view payload) {
  proto::ControlRequest request;
  const bool readable = request.ParseFromArray(payload.data(), static_cast<int>(payload.size()));
  if (readable && request.version() == kControlVersion) {
    const std::weak_ptr<const bool> alive = alive_;
    return target_.Answer(request, [this, alive, connection](const proto::ControlReply& reply) {
      if (!alive.expired()) Send(connection, reply);
    });
  }
  proto::ControlReply refusal;
  *refusal.mutable_error() = proto::ToProto(
      readable ? base::FailedPreconditionError(
                     "this agent speaks control protocol " + std::to_string(kControlVersion) +
                     ", the command speaks " + std::to_string(request.version()) +
                     "; use the lockstep that started the job")
               : base::InvalidArgumentError("not a control request"));
  Send(connection, refusal);
}

void ControlServer::Send(net::ConnectionId connection, const proto::ControlReply& reply) {
  proto::ControlReply refusal;
  const size_t bytes = reply.ByteSizeLong();
  if (bytes > net::kFramePayloadBytesMax) {
    *refusal.mutable_error() = proto::ToProto(base::ResourceExhaustedError(
        "the answer is " + std::to_string(bytes) + " bytes long; the limit is " +
        std::to_string(net::kFramePayloadBytesMax)));
  }
  // A verb that has gone away meanwhile needs no answer.
  (void)server_->Send(connection, refusal.has_error() ? refusal : reply);
}

}  // namespace lockstep::launcher
