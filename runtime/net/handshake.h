// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_NET_HANDSHAKE_H_
#define LOCKSTEP_RUNTIME_NET_HANDSHAKE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "runtime/base/result.h"
#include "runtime/base/sequence.h"
#include "runtime/base/status.h"
#include "runtime/base/thread_annotations.h"
#include "runtime/event/loop.h"
#include "runtime/net/byte_stream.h"
#include "runtime/net/handshake_turns.h"

namespace lockstep::net {

/// What each side of a connection between agents sends first, once the stream's own handshake is
/// done: name and version of what follows. It names a peer that is something else; and since a TLS
/// 1.3 client is done before the server has looked at what the client proved, the server's preamble
/// is its word that the client is in.
inline constexpr std::string_view kPreamble = "lockstep/1\n";

/// Takes a fresh connection to where messages can flow: the stream's handshake, then both
/// preambles. Whatever comes before that is never parsed as a message. Owned by whoever made the
/// connection, who also keeps the deadline. Confined to the loop's thread.
class Handshake {
 public:
  /// The stream (it may hold the first bytes after the preamble), or an error: PermissionDenied -
  /// the peer is not of our job, or is no agent; Unavailable - it went away.
  using Done = std::function<void(base::Result<std::unique_ptr<ByteStream>>)>;

  /// `done` is called once, may destroy this, and never runs when this is gone. With `turns`, which
  /// outlives this, it computes only when it gets one; null = whenever the peer has sent something.
  Handshake(std::unique_ptr<ByteStream> stream, Done done, event::Loop& loop,
            HandshakeTurns* turns = nullptr);
  ~Handshake();
  Handshake(const Handshake&) = delete;
  Handshake& operator=(const Handshake&) = delete;

 private:
  using Outcome = ByteStream::Outcome;

  void AskForTurn(HandshakeTurns::Kind kind) REQUIRES(seq_);
  void GoOn();
  /// Each returns done, or why not; they may be called again.
  Outcome Secure() REQUIRES(seq_);
  Outcome SendPreamble() REQUIRES(seq_);
  Outcome ReceivePreamble() REQUIRES(seq_);
  void Finish(const base::Status& status) REQUIRES(seq_);

  event::Loop& loop_;
  HandshakeTurns* const turns_;
  base::Sequence seq_;
  Done done_ GUARDED_BY(seq_);
  std::unique_ptr<ByteStream> stream_ GUARDED_BY(seq_);
  bool secured_ GUARDED_BY(seq_) = false;
  size_t sent_bytes_ GUARDED_BY(seq_) = 0;  // of our preamble
  std::string received_ GUARDED_BY(seq_);   // of the peer's
  event::Registration watch_ GUARDED_BY(seq_);
  event::Registration begin_ GUARDED_BY(seq_);
  uint64_t turn_ GUARDED_BY(seq_) = 0;  // that it waits for; 0 = none
};

}  // namespace lockstep::net

#endif  // LOCKSTEP_RUNTIME_NET_HANDSHAKE_H_
