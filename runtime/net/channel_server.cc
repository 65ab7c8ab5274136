// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/channel_server.h"

#include <unistd.h>

#include <utility>

#include "runtime/base/logging.h"

namespace lockstep::net {
namespace {

/// How long the listener rests when no descriptor is free: its readiness would otherwise spin the
/// loop.
constexpr base::Duration kAcceptRest = std::chrono::milliseconds(100);

}  // namespace

base::Result<std::unique_ptr<ChannelServer>> ChannelServer::Listen(const std::string& path,
                                                                   Handlers handlers,
                                                                   Options options,
                                                                   event::Loop& loop) {
  ASSIGN_OR_RETURN(base::UniqueFd listener, ListenUnix(path));
  return Serve(path, std::move(listener), std::move(handlers), options, loop);
}

std::unique_ptr<ChannelServer> ChannelServer::Serve(std::string path, base::UniqueFd listener,
                                                    Handlers handlers, Options options,
                                                    event::Loop& loop) {
  return std::unique_ptr<ChannelServer>(
      new ChannelServer(std::move(path), std::move(listener), std::move(handlers), options, loop));
}

ChannelServer::ChannelServer(std::string path, base::UniqueFd listener, Handlers handlers,
                             Options options, event::Loop& loop)
    : path_(std::move(path)),
      handlers_(std::move(handlers)),
      options_(options),
      loop_(loop),
      listener_(std::move(listener)) {
  watch_ =
      loop_.Watch(listener_.get(), {.readable = true}, [this](event::Readiness) { AcceptAll(); });
}

ChannelServer::~ChannelServer() {
  seq_.AssertHeld();
  if (!IsAbstractName(path_)) ::unlink(path_.c_str());
}

void ChannelServer::AcceptAll() {
  seq_.AssertHeld();
  while (true) {
    base::Result<base::UniqueFd> accepted = AcceptUnix(listener_.get());
    if (!accepted.ok()) {
      LOG(WARNING) << path_ << ": " << accepted.status() << "; trying again in "
                   << base::FormatDuration(kAcceptRest);
      loop_.SetInterest(watch_, {});
      rest_ = loop_.After(kAcceptRest, [this] {
        seq_.AssertHeld();
        loop_.SetInterest(watch_, {.readable = true});
      });
      return;
    }
    if (!accepted->valid()) return;
    Admit(*std::move(accepted));
  }
}

void ChannelServer::Admit(base::UniqueFd fd) {
  const base::Result<PeerCredentials> peer = PeerOf(fd.get());
  base::Status refusal = peer.ok() ? CheckPeerIsOurs(*peer, ::geteuid()) : peer.status();
  if (refusal.ok() && connections_.size() >= options_.connections_max) {
    refusal = base::ResourceExhaustedError("refuse a connection: there are " +
                                           std::to_string(connections_.size()) +
                                           " already, the most that are allowed");
  }
  if (!refusal.ok()) {
    ++refused_total_;
    LOG(WARNING) << path_ << ": " << refusal;
    return;
  }
  const ConnectionId id = next_id_;
  ++next_id_;
  Connection& connection = connections_[id];
  connection.channel = std::make_unique<Channel>(
      std::move(fd),
      Channel::Handlers{
          .on_message = [this, id](std::string_view payload) { Receive(id, payload); },
          .on_closed = [this, id](const base::Status& why) { Forget(id, why); }},
      options_.channel, loop_);
  RestartIdleTimer(id);
}

void ChannelServer::Receive(ConnectionId id, std::string_view payload) {
  seq_.AssertHeld();
  RestartIdleTimer(id);
  handlers_.on_message(id, payload);
}

void ChannelServer::RestartIdleTimer(ConnectionId id) {
  if (options_.idle_timeout == base::Duration(0)) return;
  connections_.at(id).idle = loop_.After(options_.idle_timeout, [this, id] { Close(id); });
}

base::Status ChannelServer::Send(ConnectionId connection,
                                 const google::protobuf::MessageLite& message) {
  seq_.AssertHeld();
  const auto found = connections_.find(connection);
  if (found == connections_.end()) {
    return base::NotFoundError("send on connection " + connection.ToString() + ": it is closed");
  }
  return found->second.channel->Send(message);
}

void ChannelServer::Close(ConnectionId connection) {
  seq_.AssertHeld();
  const auto found = connections_.find(connection);
  if (found != connections_.end()) found->second.channel->Close();
}

void ChannelServer::Forget(ConnectionId id, const base::Status& why) {
  seq_.AssertHeld();
  connections_.erase(id);
  if (handlers_.on_closed) handlers_.on_closed(id, why);
}

}  // namespace lockstep::net
