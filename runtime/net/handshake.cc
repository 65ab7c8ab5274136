// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/handshake.h"

#include <utility>

namespace lockstep::net {
namespace {

using Outcome = ByteStream::Outcome;

/// What a peer that begins with these bytes is.
base::Status NoAgent(std::string_view bytes) {
  for (const std::string_view verb : {"GET ", "HEAD", "POST", "PUT ", "CONN", "OPTI", "HTTP"}) {
    if (bytes.starts_with(verb)) {
      return base::PermissionDeniedError(
          "the peer speaks HTTP; this port is for lockstep agents alone");
    }
  }
  if (bytes.starts_with("\x16\x03") || bytes.starts_with("\x15\x03")) {
    return base::PermissionDeniedError(
        "the peer speaks TLS, and this side was told to allow plain connections (--allow-plain); "
        "start all nodes alike");
  }
  const std::string_view name = kPreamble.substr(0, kPreamble.find('/') + 1);
  if (bytes.starts_with(name)) {
    return base::PermissionDeniedError(
        "the peer is an agent of another version of lockstep; install the same one everywhere");
  }
  return base::PermissionDeniedError("the peer is no lockstep agent");
}

}  // namespace

Handshake::Handshake(std::unique_ptr<ByteStream> stream, Done done, event::Loop& loop,
                     HandshakeTurns* turns)
    : loop_(loop), turns_(turns), done_(std::move(done)), stream_(std::move(stream)) {
  if (turns_ == nullptr) {
    watch_ = loop_.Watch(stream_->fd(), {.readable = true}, [this](event::Readiness) { GoOn(); });
    begin_ = loop_.After(base::Duration(0), [this] { GoOn(); });
    return;
  }
  watch_ = loop_.Watch(stream_->fd(), {}, [this](event::Readiness) {
    seq_.AssertHeld();
    AskForTurn(HandshakeTurns::Kind::kFurther);
  });
  AskForTurn(HandshakeTurns::Kind::kFirst);
}

Handshake::~Handshake() {
  seq_.AssertHeld();
  if (turn_ != 0) turns_->Withdraw(turn_);
}

/// What made it ready stays, so until its turn it does not look.
void Handshake::AskForTurn(HandshakeTurns::Kind kind) {
  loop_.SetInterest(watch_, {});
  turn_ = turns_->Ask(kind, [this] { GoOn(); });
}

void Handshake::GoOn() {
  seq_.AssertHeld();
  turn_ = 0;
  begin_.reset();
  const Outcome secured = Secure();
  if (secured.kind == Outcome::Kind::kBroken) return Finish(secured.why);
  Outcome sent = secured;
  Outcome received = secured;
  if (secured.done()) {
    sent = SendPreamble();
    received = ReceivePreamble();
  }
  // A peer that refuses says so before it closes: what can be read is worth more than that nothing
  // can be written.
  if (!received.done() && !received.blocked()) return Finish(received.why);
  if (!sent.done() && !sent.blocked()) return Finish(sent.why);
  if (sent.done() && received.done()) return Finish(base::OkStatus());
  const bool writable =
      sent.kind == Outcome::Kind::kNeedsWritable || received.kind == Outcome::Kind::kNeedsWritable;
  loop_.SetInterest(watch_, {.readable = true, .writable = writable});
}

Outcome Handshake::Secure() {
  if (secured_) return {};
  Outcome outcome = stream_->Handshake();
  secured_ = outcome.done();
  return outcome;
}

Outcome Handshake::SendPreamble() {
  while (sent_bytes_ < kPreamble.size()) {
    const Outcome outcome = stream_->Write(kPreamble.substr(sent_bytes_));
    if (!outcome.done()) return outcome;
    sent_bytes_ += outcome.bytes;
  }
  return {};
}

Outcome Handshake::ReceivePreamble() {
  while (received_.size() < kPreamble.size()) {
    char bytes[kPreamble.size()];
    Outcome outcome = stream_->Read(bytes, kPreamble.size() - received_.size());
    if (outcome.kind == Outcome::Kind::kEnd && outcome.why.ok())
      outcome.why =
          base::UnavailableError("the peer closed the connection before it said anything");
    if (!outcome.done()) return outcome;
    received_.append(bytes, outcome.bytes);
    if (!kPreamble.starts_with(received_)) return Outcome::Broken(NoAgent(received_));
  }
  return {};
}

void Handshake::Finish(const base::Status& status) {
  watch_.reset();
  const Done done = std::move(done_);
  std::unique_ptr<ByteStream> stream = std::move(stream_);
  if (status.ok()) {
    done(std::move(stream));
  } else {
    stream.reset();
    done(status);
  }
}

}  // namespace lockstep::net
