// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_CLUSTER_FAKE_CONNECTION_H_
#define LOCKSTEP_LAUNCHER_CLUSTER_FAKE_CONNECTION_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/base/status.h"
#include "runtime/event/loop.h"
#include "runtime/net/frame.h"
#include "runtime/net/network.h"

namespace lockstep::launcher {

/// A connection whose other side is the test. Owned by whoever is tested; the test keeps the peer,
/// which outlives it. Confined to the loop's thread.
class FakeConnection final : public net::Connection {
 public:
  /// The other side.
  class Far {
   public:
    explicit Far(event::Loop& loop) : loop_(loop) {}

    /// Says it, unless nobody is there (any more). Not within a call of the other side.
    void Say(std::string_view payload) {
      const auto on_message = handlers_.on_message;  // which may destroy the other side
      if (on_message && !closed_) on_message(payload);
    }
    void Say(const google::protobuf::MessageLite& message) { Say(message.SerializeAsString()); }
    /// Ends the connection.
    void End(const base::Status& why) { CloseWith(why); }

    bool closed() const { return closed_; }
    /// What was said to it, serialized.
    const std::vector<std::string>& heard() const { return heard_; }
    size_t heard_bytes() const { return heard_bytes_; }
    /// What the other side has not got rid of yet: nothing, unless the test says so.
    void SetQueuedBytes(size_t bytes) { queued_bytes_ = bytes; }

   private:
    friend class FakeConnection;

    void CloseWith(const base::Status& why) {
      if (std::exchange(closed_, true)) return;
      closing_ = loop_.After(base::Duration(0), [this, why] {
        const auto on_closed = handlers_.on_closed;
        if (on_closed) on_closed(why);
      });
    }

    event::Loop& loop_;
    net::Connection::Handlers handlers_;
    std::vector<std::string> heard_;
    size_t heard_bytes_ = 0;
    size_t queued_bytes_ = 0;
    bool closed_ = false;
    event::Registration closing_;
  };

  FakeConnection(std::shared_ptr<Far> far, net::Peer peer)
      : far_(std::move(far)), peer_(std::move(peer)) {}
  ~FakeConnection() override {
    far_->closed_ = true;
    far_->closing_.reset();
    far_->handlers_ = {};
  }

  void Start(Handlers handlers) override { far_->handlers_ = std::move(handlers); }
  base::Status Send(const google::protobuf::MessageLite& message) override {
    if (far_->closed_) return base::FailedPreconditionError("closed");
    if (message.ByteSizeLong() > net::kFramePayloadBytesMax) {
      const base::Status too_long = base::InvalidArgumentError("send a message: it is too long");
      far_->CloseWith(too_long);
      return too_long;
    }
    far_->heard_.push_back(message.SerializeAsString());
    far_->heard_bytes_ += far_->heard_.back().size();
    return base::OkStatus();
  }
  void Close() override { far_->CloseWith(base::CancelledError("closed on this side")); }
  bool closed() const override { return far_->closed_; }
  size_t queued_bytes() const override { return far_->queued_bytes_; }
  const net::Peer& peer() const override { return peer_; }

 private:
  const std::shared_ptr<Far> far_;  // shared with the test, which may outlive us
  const net::Peer peer_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_CLUSTER_FAKE_CONNECTION_H_
