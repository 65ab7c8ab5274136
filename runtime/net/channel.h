// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_NET_CHANNEL_H_
#define LOCKSTEP_RUNTIME_NET_CHANNEL_H_

#include <google/protobuf/message_lite.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "runtime/base/sequence.h"
#include "runtime/base/status.h"
#include "runtime/base/thread_annotations.h"
#include "runtime/base/unique_fd.h"
#include "runtime/event/loop.h"
#include "runtime/net/byte_stream.h"
#include "runtime/net/frame.h"

namespace lockstep::net {

/// One end of a connection that carries protobuf messages in frames (frame.h) over a stream of
/// bytes: a connected socket as it is, or whatever stands before it (byte_stream.h). One per
/// connection, owned by whoever speaks on it.
///
///   open --peer closes, error, limit, Close()--> closed (on_closed has run, or will)
///
/// Confined to the loop's thread. Callbacks run on it too, never inside a call of ours; they may
/// destroy the channel, and after its destruction none runs. Deadlines (handshake, idle) belong to
/// the owner, who knows what is due.
///
///   Channel channel(std::move(fd), {.on_message = [&](std::string_view payload) { ... },
///                                   .on_closed = [&](base::Status why) { ... }}, {}, loop);
///   RETURN_IF_ERROR(channel.Send(request));
class Channel {
 public:
  struct Options {
    size_t payload_bytes_max = kFramePayloadBytesMax;  // of one message, both ways
    size_t queue_bytes_max = size_t{4}
                             << 20;  // unsent bytes; a peer that does not read costs no more
  };
  struct Handlers {
    /// One payload; the view is valid during the call.
    std::function<void(std::string_view)> on_message;
    /// Once, unless the channel is destroyed before. OK - the peer closed between two frames;
    /// DataLoss - it closed within one; ResourceExhausted - a frame of the peer, or the queue, went
    /// over its limit; InvalidArgument - a message of ours did; Cancelled - Close(); else what the
    /// stream says (a socket: errno's code).
    std::function<void(base::Status)> on_closed;
  };

  /// `fd` becomes non-blocking. It must be a socket.
  Channel(base::UniqueFd fd, Handlers handlers, Options options, event::Loop& loop);
  /// `stream` is through its handshake, and may hold bytes already.
  Channel(std::unique_ptr<ByteStream> stream, Handlers handlers, Options options,
          event::Loop& loop);
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  /// Sends or queues one message. Never blocks.
  /// Errors, each of which closes the channel with it, so that nobody waits for what was never
  /// sent: InvalidArgument - longer than payload_bytes_max; ResourceExhausted - the queue would go
  /// over queue_bytes_max: the peer does not read. FailedPrecondition - closed already.
  base::Status Send(const google::protobuf::MessageLite& message);

  /// Closes at once; unsent bytes are dropped. on_closed(Cancelled) follows.
  void Close();

  bool closed() const {
    seq_.AssertHeld();
    return closed_;
  }
  size_t queued_bytes() const {
    seq_.AssertHeld();
    return unsent_.size() - sent_bytes_;
  }

 private:
  void OnReady(event::Readiness readiness);
  void Watch() REQUIRES(seq_);
  void SetInterest() REQUIRES(seq_);
  void ReadSome() REQUIRES(seq_);
  void ReadSoon() REQUIRES(seq_);
  void EndOfStream(const base::Status& how) REQUIRES(seq_);
  void WriteSome() REQUIRES(seq_);
  void CloseWith(base::Status why) REQUIRES(seq_);

  const std::shared_ptr<const Handlers> handlers_;  // shared: a handler may destroy its channel
  const Options options_;
  event::Loop& loop_;

  base::Sequence seq_;
  std::unique_ptr<ByteStream> stream_ GUARDED_BY(seq_);
  FrameDecoder decoder_ GUARDED_BY(seq_);
  std::string unsent_ GUARDED_BY(seq_);
  size_t sent_bytes_ GUARDED_BY(seq_) = 0;  // of unsent_
  // TLS may have to write before it can read on, and the other way round.
  bool read_needs_writable_ GUARDED_BY(seq_) = false;
  bool write_needs_readable_ GUARDED_BY(seq_) = false;
  bool wants_writable_ GUARDED_BY(seq_) = false;  // as the loop knows
  bool closed_ GUARDED_BY(seq_) = false;
  event::Registration watch_ GUARDED_BY(seq_);
  event::Registration read_on_ GUARDED_BY(seq_);
  event::Registration closing_ GUARDED_BY(seq_);
  /// Expires with the channel; for those who call a handler.
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
};

}  // namespace lockstep::net

#endif  // LOCKSTEP_RUNTIME_NET_CHANNEL_H_
