// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/channel.h"

#include <fcntl.h>

#include <utility>

#include "runtime/base/check.h"
#include "runtime/net/socket_stream.h"

namespace lockstep::net {
namespace {

/// One turn of the loop's worth: as much as a message of output. A quarter of it showed 8 % less of
/// 8 nodes' output, since other threads had the processor between turns.
constexpr size_t kReadBytes = size_t{256} << 10;

}  // namespace

Channel::Channel(base::UniqueFd fd, Handlers handlers, Options options, event::Loop& loop)
    : handlers_(std::make_shared<const Handlers>(std::move(handlers))),
      options_(options),
      loop_(loop),
      decoder_(options.payload_bytes_max) {
  const int flags = ::fcntl(fd.get(), F_GETFL);
  LOCKSTEP_CHECK(flags >= 0, "a channel needs an open socket");
  (void)::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK);
  stream_ = std::make_unique<SocketStream>(std::move(fd));
  Watch();
}

Channel::Channel(std::unique_ptr<ByteStream> stream, Handlers handlers, Options options,
                 event::Loop& loop)
    : handlers_(std::make_shared<const Handlers>(std::move(handlers))),
      options_(options),
      loop_(loop),
      stream_(std::move(stream)),
      decoder_(options.payload_bytes_max) {
  Watch();
  ReadSoon();
}

Channel::~Channel() { seq_.AssertHeld(); }

base::Status Channel::Send(const google::protobuf::MessageLite& message) {
  seq_.AssertHeld();
  if (closed_) return base::FailedPreconditionError("send a message: the connection is closed");
  const size_t size = message.ByteSizeLong();
  if (size > options_.payload_bytes_max) {
    const base::Status too_long = base::InvalidArgumentError(
        "send a message of " + std::to_string(size) + " bytes; the limit is " +
        std::to_string(options_.payload_bytes_max));
    CloseWith(too_long);
    return too_long;
  }
  if (queued_bytes() + kFrameHeaderBytes + size > options_.queue_bytes_max) {
    const base::Status full = base::ResourceExhaustedError(
        "send a message of " + std::to_string(size) + " bytes: " + std::to_string(queued_bytes()) +
        " are waiting already and the limit is " + std::to_string(options_.queue_bytes_max) +
        "; the peer does not read");
    CloseWith(full);
    return full;
  }
  const bool idle = queued_bytes() == 0;
  AppendFrameHeader(size, &unsent_);
  message.AppendToString(&unsent_);
  if (idle) WriteSome();
  return base::OkStatus();
}

void Channel::Close() {
  seq_.AssertHeld();
  CloseWith(base::CancelledError("the connection was closed on this side"));
}

void Channel::Watch() {
  watch_ = loop_.Watch(stream_->fd(), {.readable = true},
                       [this](event::Readiness readiness) { OnReady(readiness); });
}

void Channel::SetInterest() {
  const bool write_needs_writable = queued_bytes() > 0 && !write_needs_readable_;
  const bool writable = write_needs_writable || read_needs_writable_;
  if (std::exchange(wants_writable_, writable) == writable) return;  // as after most messages
  loop_.SetInterest(watch_, {.readable = true, .writable = writable});
}

void Channel::OnReady(event::Readiness readiness) {
  seq_.AssertHeld();
  const bool read_waited_for_this = readiness.writable && read_needs_writable_;
  if (readiness.writable || (readiness.readable && write_needs_readable_)) WriteSome();
  if (!closed_ && (readiness.readable || readiness.closed || read_waited_for_this)) ReadSome();
}

void Channel::ReadSome() {
  char buffer[kReadBytes];
  const ByteStream::Outcome outcome = stream_->Read(buffer, sizeof(buffer));
  const bool needs_writable = outcome.kind == ByteStream::Outcome::Kind::kNeedsWritable;
  if (std::exchange(read_needs_writable_, needs_writable) != needs_writable) SetInterest();
  if (outcome.blocked()) return;
  if (outcome.kind == ByteStream::Outcome::Kind::kEnd) return EndOfStream(outcome.why);
  if (!outcome.done()) return CloseWith(outcome.why);
  const std::weak_ptr<const bool> alive = alive_;
  const std::shared_ptr<const Handlers> handlers = handlers_;
  const base::Status read = decoder_.Feed(std::string_view(buffer, outcome.bytes),
                                          [this, &alive, &handlers](std::string_view payload) {
                                            handlers->on_message(payload);
                                            return !alive.expired() && !closed();
                                          });
  if (alive.expired() || closed_) return;
  if (!read.ok()) return CloseWith(read);
  if (outcome.may_hold_more) ReadSoon();
}

/// What the stream holds already wakes nobody. A turn of the loop later, so that one who sends
/// without end does not keep the others waiting.
void Channel::ReadSoon() {
  read_on_ = loop_.After(base::Duration(0), [this] {
    seq_.AssertHeld();
    ReadSome();
  });
}

void Channel::EndOfStream(const base::Status& how) {
  CloseWith(decoder_.at_boundary()
                ? how
                : base::DataLossError("the peer closed the connection within a message"));
}

void Channel::WriteSome() {
  write_needs_readable_ = false;
  while (queued_bytes() > 0) {
    const ByteStream::Outcome outcome =
        stream_->Write(std::string_view(unsent_).substr(sent_bytes_));
    if (outcome.done()) {
      sent_bytes_ += outcome.bytes;
      continue;
    }
    if (!outcome.blocked()) return CloseWith(outcome.why);
    write_needs_readable_ = outcome.kind == ByteStream::Outcome::Kind::kNeedsReadable;
    break;
  }
  if (queued_bytes() == 0 ||
      sent_bytes_ > unsent_.size() / 2) {  // halves: each byte moves once at most
    unsent_.erase(0, sent_bytes_);
    sent_bytes_ = 0;
  }
  SetInterest();
}

void Channel::CloseWith(base::Status why) {
  if (std::exchange(closed_, true)) return;
  watch_.reset();
  read_on_.reset();
  stream_.reset();
  unsent_.clear();
  sent_bytes_ = 0;
  closing_ = loop_.After(base::Duration(0), [handlers = handlers_, why = std::move(why)] {
    if (handlers->on_closed) handlers->on_closed(why);
  });
}

}  // namespace lockstep::net
