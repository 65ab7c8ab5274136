// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include <utility>

#include "runtime/base/check.h"
#include "runtime/base/errno_status.h"

namespace lockstep::net {
namespace {

constexpr size_t kReadBytes = size_t{64} << 10;

}  // namespace

Channel::Channel(base::UniqueFd fd, Handlers handlers, Options options, event::Loop& loop)
    : handlers_(std::make_shared<const Handlers>(std::move(handlers))),
      options_(options),
      loop_(loop),
      fd_(std::move(fd)),
      decoder_(options.payload_bytes_max) {
  const int flags = ::fcntl(fd_.get(), F_GETFL);
  LOCKSTEP_CHECK(flags >= 0, "a channel needs an open socket");
  (void)::fcntl(fd_.get(), F_SETFL, flags | O_NONBLOCK);
  watch_ = loop_.Watch(fd_.get(), {.readable = true},
                       [this](event::Readiness readiness) { OnReady(readiness); });
}

Channel::~Channel() { seq_.AssertHeld(); }

base::Status Channel::Send(const google::protobuf::MessageLite& message) {
  seq_.AssertHeld();
  if (closed_) return base::FailedPreconditionError("send a message: the connection is closed");
  const size_t size = message.ByteSizeLong();
  if (size > options_.payload_bytes_max) {
    return base::InvalidArgumentError("send a message of " + std::to_string(size) +
                                      " bytes; the limit is " +
                                      std::to_string(options_.payload_bytes_max));
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

void Channel::OnReady(event::Readiness readiness) {
  seq_.AssertHeld();
  if (readiness.writable) WriteSome();
  if (!closed_ && (readiness.readable || readiness.closed)) ReadSome();
}

void Channel::ReadSome() {
  char buffer[kReadBytes];
  const ssize_t count = ::recv(fd_.get(), buffer, sizeof(buffer), 0);
  if (count < 0) {
    if (errno == EAGAIN || errno == EINTR) return;
    CloseWith(base::ErrnoStatus(errno, "read from the peer"));
    return;
  }
  if (count == 0) {
    CloseWith(decoder_.at_boundary()
                  ? base::OkStatus()
                  : base::DataLossError("the peer closed the connection within a message"));
    return;
  }
  const std::weak_ptr<const bool> alive = alive_;
  const std::shared_ptr<const Handlers> handlers = handlers_;
  const base::Status read = decoder_.Feed(std::string_view(buffer, static_cast<size_t>(count)),
                                          [this, &alive, &handlers](std::string_view payload) {
                                            handlers->on_message(payload);
                                            return !alive.expired() && !closed();
                                          });
  if (!read.ok() && !alive.expired()) CloseWith(read);
}

void Channel::WriteSome() {
  while (queued_bytes() > 0) {
    const ssize_t count = ::send(fd_.get(), unsent_.data() + sent_bytes_, queued_bytes(),
                                 MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count >= 0) {
      sent_bytes_ += static_cast<size_t>(count);
      continue;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN) break;
    CloseWith(base::ErrnoStatus(errno, "write to the peer"));
    return;
  }
  if (queued_bytes() == 0 ||
      sent_bytes_ > unsent_.size() / 2) {  // halves: each byte moves once at most
    unsent_.erase(0, sent_bytes_);
    sent_bytes_ = 0;
  }
  loop_.SetInterest(watch_, {.readable = true, .writable = queued_bytes() > 0});
}

void Channel::CloseWith(base::Status why) {
  if (std::exchange(closed_, true)) return;
  watch_.reset();
  fd_.reset();
  unsent_.clear();
  sent_bytes_ = 0;
  closing_ = loop_.After(base::Duration(0), [handlers = handlers_, why = std::move(why)] {
    if (handlers->on_closed) handlers->on_closed(why);
  });
}

}  // namespace lockstep::net
