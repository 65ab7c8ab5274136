// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_NET_TCP_LISTENER_H_
#define LOCKSTEP_RUNTIME_NET_TCP_LISTENER_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/base/sequence.h"
#include "runtime/base/thread_annotations.h"
#include "runtime/event/loop.h"
#include "runtime/net/channel.h"
#include "runtime/net/handshake.h"
#include "runtime/net/handshake_turns.h"
#include "runtime/net/network.h"
#include "runtime/net/tcp_socket.h"
#include "runtime/net/transport.h"

namespace lockstep::net {

/// The Listener of TcpNetwork. Accepts, and holds each connection until its handshake is through.
///
///   accepted --over a limit--> closed
///       |-----handshake fails, takes too long, or is the oldest of too many--> closed
///       '-----handshake is through--> handed out
///
/// A peer that has not proved itself costs a descriptor, some 20 KiB and one handshake's computing,
/// and for no longer than handshake_timeout. Handshakes are computed a few at a time, and nobody is
/// accepted while many have not had a first step: who comes to a busy coordinator waits in the
/// kernel, where no timeout runs, and not in a handshake that will be too late. Only our computing
/// is waited for, never a peer: those who say nothing keep nobody out.
class TcpListener final : public Listener {
 public:
  TcpListener(TcpListenSockets sockets, const Network::ListenOptions& options,
              Network::OnConnection on_connection, Channel::Options channel,
              const Transport& transport, event::Loop& loop);
  ~TcpListener() override;

  Endpoint endpoint() const override;
  uint64_t refused_total() const override;

 private:
  /// One that is not through its handshake. They are numbered in the order of their coming.
  struct Guest {
    std::string address;
    std::unique_ptr<Handshake> handshake;
    event::Registration deadline;
  };
  struct Socket {
    base::UniqueFd fd;
    event::Registration watch;
  };

  void AcceptSome(const Socket& socket);
  void Rest(const base::Status& why) REQUIRES(seq_);
  void SetInterest() REQUIRES(seq_);
  void Receive(AcceptedSocket accepted) REQUIRES(seq_);
  void Admit(uint64_t guest, base::Result<std::unique_ptr<ByteStream>> stream);
  void Refuse(const std::string& address, const base::Status& why) REQUIRES(seq_);
  base::Status CheckPlaces() REQUIRES(seq_);

  const Network::ListenOptions options_;
  const Network::OnConnection on_connection_;
  const Channel::Options channel_;
  const Transport& transport_;
  event::Loop& loop_;

  base::Sequence seq_;
  const uint16_t port_;
  uint64_t refused_total_ GUARDED_BY(seq_) = 0;
  uint64_t next_guest_ GUARDED_BY(seq_) = 0;
  HandshakeTurns turns_ GUARDED_BY(seq_);
  std::map<uint64_t, Guest> guests_ GUARDED_BY(seq_);
  /// One reference more than connections that live: each holds one, also when the listener is gone.
  const std::shared_ptr<const int> places_ = std::make_shared<const int>(0);
  std::vector<Socket> sockets_ GUARDED_BY(seq_);
  event::Registration rest_ GUARDED_BY(seq_);
};

}  // namespace lockstep::net

#endif  // LOCKSTEP_RUNTIME_NET_TCP_LISTENER_H_
