// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/tcp_connection.h"

#include <utility>

#include "runtime/base/check.h"

namespace lockstep::net {
namespace {

/// Connection's codes are fewer than errno's and OpenSSL's: what is not one of them is a break.
base::Status AsContractSays(const base::Status& why) {
  switch (why.code()) {
    case base::Code::kOk:
    case base::Code::kDataLoss:
    case base::Code::kInvalidArgument:
    case base::Code::kResourceExhausted:
    case base::Code::kCancelled:
    case base::Code::kUnavailable: return why;
    default: return base::UnavailableError(why.message());
  }
}

}  // namespace

TcpConnection::TcpConnection(std::unique_ptr<ByteStream> stream, Peer peer,
                             std::shared_ptr<const void> place, Channel::Options options,
                             event::Loop& loop)
    : peer_(std::move(peer)),
      place_(std::move(place)),
      options_(options),
      loop_(loop),
      stream_(std::move(stream)) {}

TcpConnection::~TcpConnection() { seq_.AssertHeld(); }

void TcpConnection::Start(Handlers handlers) {
  seq_.AssertHeld();
  LOCKSTEP_CHECK(channel_ == nullptr, "a connection is started once");
  Channel::Handlers wrapped{.on_message = std::move(handlers.on_message)};
  if (handlers.on_closed) {
    wrapped.on_closed = [on_closed = std::move(handlers.on_closed)](const base::Status& why) {
      on_closed(AsContractSays(why));
    };
  }
  channel_ = std::make_unique<Channel>(std::move(stream_), std::move(wrapped), options_, loop_);
}

base::Status TcpConnection::Send(const google::protobuf::MessageLite& message) {
  seq_.AssertHeld();
  LOCKSTEP_CHECK(channel_ != nullptr, "a connection is started before anything is sent");
  return channel_->Send(message);
}

void TcpConnection::Close() {
  seq_.AssertHeld();
  LOCKSTEP_CHECK(channel_ != nullptr, "one that was not started is destroyed");
  channel_->Close();
}

bool TcpConnection::closed() const {
  seq_.AssertHeld();
  return channel_ != nullptr && channel_->closed();
}

size_t TcpConnection::queued_bytes() const {
  seq_.AssertHeld();
  return channel_ != nullptr ? channel_->queued_bytes() : 0;
}

}  // namespace lockstep::net
