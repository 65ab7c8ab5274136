// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/control_server.h"

#include <signal.h>

#include <utility>

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
  proto::ControlReply reply;
  if (request.ParseFromArray(payload.data(), static_cast<int>(payload.size()))) {
    reply = Answer(request);
  } else {
    *reply.mutable_error() = proto::ToProto(base::InvalidArgumentError("not a control request"));
  }
  // A verb that has gone away meanwhile needs no answer.
  (void)server_->Send(connection, reply);
}

proto::ControlReply ControlServer::Answer(const proto::ControlRequest& request) {
  proto::ControlReply reply;
  const auto refuse = [&reply](const base::Status& status) {
    *reply.mutable_error() = proto::ToProto(status);
  };
  if (request.version() != kControlVersion) {
    refuse(base::FailedPreconditionError("this agent speaks control protocol " +
                                         std::to_string(kControlVersion) + ", the command speaks " +
                                         std::to_string(request.version()) +
                                         "; use the lockstep that started the job"));
    return reply;
  }
  switch (request.kind_case()) {
    case proto::ControlRequest::kStatus: *reply.mutable_status() = target_.GetStatus(); break;
    case proto::ControlRequest::kStop:
      *reply.mutable_stop() = target_.StopByVerb(request.stop());
      break;
    case proto::ControlRequest::KIND_NOT_SET:
      refuse(
          base::InvalidArgumentError("a control request that this agent does not know; use the "
                                     "lockstep that started the job"));
      break;
  }
  return reply;
}

}  // namespace lockstep::launcher
