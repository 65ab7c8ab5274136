// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_NET_TCP_CONNECTING_H_
#define LOCKSTEP_RUNTIME_NET_TCP_CONNECTING_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/base/sequence.h"
#include "runtime/base/status.h"
#include "runtime/base/thread_annotations.h"
#include "runtime/base/unique_fd.h"
#include "runtime/event/loop.h"
#include "runtime/net/channel.h"
#include "runtime/net/handshake.h"
#include "runtime/net/network.h"
#include "runtime/net/resolver.h"
#include "runtime/net/tcp_socket.h"
#include "runtime/net/transport.h"

namespace lockstep::net {

/// The Connecting of TcpNetwork.
///
///   round --endpoint after endpoint has its turn--> pause --> round --> ...
///   turn: look-up --> tries, one address after the other, each beginning when the one before has
///         failed or kHeadStart has passed, so several may be under way; the first through its
///         handshake wins, and all ends
///
/// In the spirit of RFC 8305: one dead address family costs a head start, not a timeout.
class TcpConnecting final : public Connecting {
 public:
  static constexpr base::Duration kHeadStart = std::chrono::milliseconds(50);
  /// Look-up and tries of one endpoint: three transmissions of a SYN.
  static constexpr base::Duration kTurnMax = std::chrono::seconds(5);
  static constexpr size_t kAddressesMax = 8;  // of one endpoint
  static constexpr base::Duration kPauseMin = std::chrono::milliseconds(20);
  static constexpr base::Duration kPauseMax = std::chrono::milliseconds(500);

  TcpConnecting(std::vector<Endpoint> endpoints, base::Duration timeout, Network::OnConnected done,
                Channel::Options channel, const Transport& transport, Resolver& resolver,
                event::Loop& loop);
  ~TcpConnecting() override;

 private:
  struct Try {
    std::string address;
    base::UniqueFd fd;  // until it is connected
    event::Registration connected;
    std::unique_ptr<Handshake> handshake;
  };
  /// What was heard of one endpoint in one turn.
  struct Heard {
    std::string text;
    bool all_refused = true;
    base::Status denial;  // PermissionDenied, or OK
  };

  void BeginRound();
  void BeginTurn();
  void GotAddresses(const base::Result<std::vector<SocketAddress>>& addresses);
  void BeginTry();
  void Connected(uint64_t number);
  void Shaken(uint64_t number, base::Result<std::unique_ptr<ByteStream>> stream);
  void TryFailed(uint64_t number, const base::Status& why) REQUIRES(seq_);
  void TurnIsOver();
  void NoteUnanswered() REQUIRES(seq_);
  void EndTurn() REQUIRES(seq_);
  void EndRound() REQUIRES(seq_);
  void GiveUp();
  void Note(const std::string& text, bool refused) REQUIRES(seq_);
  void Finish(base::Result<std::unique_ptr<Connection>> result) REQUIRES(seq_);

  const std::vector<Endpoint> endpoints_;
  const base::Duration timeout_;
  const Channel::Options channel_;
  const Transport& transport_;
  Resolver& resolver_;
  event::Loop& loop_;

  base::Sequence seq_;
  Network::OnConnected done_ GUARDED_BY(seq_);
  std::vector<Heard> heard_ GUARDED_BY(seq_);  // of each endpoint, in its last turn
  Heard now_ GUARDED_BY(seq_);                 // in the turn that is on
  size_t endpoint_ GUARDED_BY(seq_) = 0;       // whose turn it is
  std::vector<SocketAddress> addresses_ GUARDED_BY(seq_);
  size_t next_address_ GUARDED_BY(seq_) = 0;
  uint64_t next_try_ GUARDED_BY(seq_) = 0;
  base::Duration pause_ GUARDED_BY(seq_) = kPauseMin;
  Resolver::Question question_ GUARDED_BY(seq_);
  std::map<uint64_t, Try> tries_ GUARDED_BY(seq_);
  event::Registration deadline_ GUARDED_BY(seq_);
  event::Registration turn_limit_ GUARDED_BY(seq_);
  event::Registration next_ GUARDED_BY(seq_);  // round, turn or try
};

}  // namespace lockstep::net

#endif  // LOCKSTEP_RUNTIME_NET_TCP_CONNECTING_H_
