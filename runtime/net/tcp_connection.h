// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_NET_TCP_CONNECTION_H_
#define LOCKSTEP_RUNTIME_NET_TCP_CONNECTION_H_

#include <cstddef>
#include <memory>

#include "runtime/base/sequence.h"
#include "runtime/base/status.h"
#include "runtime/base/thread_annotations.h"
#include "runtime/event/loop.h"
#include "runtime/net/byte_stream.h"
#include "runtime/net/channel.h"
#include "runtime/net/network.h"

namespace lockstep::net {

/// A Connection (network.h) over a stream that is through its Handshake. Made by TcpListener and
/// TcpConnecting, owned by whom they gave it to. Needs only the loop to outlive it.
class TcpConnection final : public Connection {
 public:
  /// `place` is let go with the connection: the listener counts by it. May be null.
  TcpConnection(std::unique_ptr<ByteStream> stream, Peer peer, std::shared_ptr<const void> place,
                Channel::Options options, event::Loop& loop);
  ~TcpConnection() override;

  void Start(Handlers handlers) override;
  base::Status Send(const google::protobuf::MessageLite& message) override;
  void Close() override;
  bool closed() const override;
  size_t queued_bytes() const override;
  const Peer& peer() const override { return peer_; }

 private:
  const Peer peer_;
  const std::shared_ptr<const void> place_;  // shared by nature: what counts it may be gone first
  const Channel::Options options_;
  event::Loop& loop_;
  base::Sequence seq_;
  std::unique_ptr<ByteStream> stream_ GUARDED_BY(seq_);  // until Start()
  std::unique_ptr<Channel> channel_ GUARDED_BY(seq_);    // from Start() on
};

}  // namespace lockstep::net

#endif  // LOCKSTEP_RUNTIME_NET_TCP_CONNECTION_H_
