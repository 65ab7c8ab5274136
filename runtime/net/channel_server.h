// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_NET_CHANNEL_SERVER_H_
#define LOCKSTEP_RUNTIME_NET_CHANNEL_SERVER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "runtime/base/clock.h"
#include "runtime/base/result.h"
#include "runtime/base/sequence.h"
#include "runtime/base/strong_int.h"
#include "runtime/base/thread_annotations.h"
#include "runtime/base/unique_fd.h"
#include "runtime/event/loop.h"
#include "runtime/net/channel.h"
#include "runtime/net/unix_socket.h"

namespace lockstep::net {

using ConnectionId = base::StrongInt<struct ConnectionIdTag, uint64_t>;

/// Listens on a unix socket and holds its connections. Only processes of our own user and root get
/// in. One per listening path, owned by the agent. Confined to the loop's thread; handlers run on
/// it and may call back.
class ChannelServer {
 public:
  struct Options {
    Channel::Options channel;
    size_t connections_max = 64;  // one more is closed at once
    base::Duration idle_timeout =
        std::chrono::seconds(30);  // without a message from the peer; 0 = for ever
  };
  struct Handlers {
    std::function<void(ConnectionId, std::string_view payload)> on_message;
    /// Once per connection, after which its id means nothing. May be null.
    std::function<void(ConnectionId, base::Status)> on_closed;
  };

  /// Errors: as ListenUnix.
  static base::Result<std::unique_ptr<ChannelServer>> Listen(const std::string& path,
                                                             Handlers handlers, Options options,
                                                             event::Loop& loop);
  /// On a socket of ListenUnix(path) that somebody has made before.
  static std::unique_ptr<ChannelServer> Serve(std::string path, base::UniqueFd listener,
                                              Handlers handlers, Options options,
                                              event::Loop& loop);
  /// Closes everything and removes the socket file.
  ~ChannelServer();
  ChannelServer(const ChannelServer&) = delete;
  ChannelServer& operator=(const ChannelServer&) = delete;

  /// Errors: NotFound - no such connection (any more); else as Channel::Send.
  base::Status Send(ConnectionId connection, const google::protobuf::MessageLite& message);
  /// Does nothing when it is gone already.
  void Close(ConnectionId connection);

  size_t connection_count() const {
    seq_.AssertHeld();
    return connections_.size();
  }
  const std::string& path() const { return path_; }
  /// Connections turned away so far: foreign users and those over the limit.
  uint64_t refused_total() const {
    seq_.AssertHeld();
    return refused_total_;
  }

 private:
  struct Connection {
    std::unique_ptr<Channel> channel;
    event::Registration idle;
  };

  ChannelServer(std::string path, base::UniqueFd listener, Handlers handlers, Options options,
                event::Loop& loop);
  void AcceptAll();
  void Admit(base::UniqueFd fd) REQUIRES(seq_);
  void Receive(ConnectionId id, std::string_view payload);
  void RestartIdleTimer(ConnectionId id) REQUIRES(seq_);
  void Forget(ConnectionId id, const base::Status& why);

  const std::string path_;
  const Handlers handlers_;
  const Options options_;
  event::Loop& loop_;

  base::Sequence seq_;
  base::UniqueFd listener_;
  ConnectionId next_id_ GUARDED_BY(seq_){1};
  uint64_t refused_total_ GUARDED_BY(seq_) = 0;
  std::unordered_map<ConnectionId, Connection> connections_ GUARDED_BY(seq_);
  event::Registration watch_ GUARDED_BY(seq_);
  event::Registration rest_ GUARDED_BY(seq_);
};

}  // namespace lockstep::net

#endif  // LOCKSTEP_RUNTIME_NET_CHANNEL_SERVER_H_
