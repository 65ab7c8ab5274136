// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/tcp_listener.h"

#include <utility>

#include "runtime/base/logging.h"
#include "runtime/net/tcp_connection.h"

namespace lockstep::net {
namespace {

/// How long the listener rests when no descriptor is free: its readiness would otherwise spin the
/// loop.
constexpr base::Duration kAcceptRest = std::chrono::milliseconds(100);
/// In one turn of the loop, so that a flood of connections does not keep the members waiting.
constexpr int kAcceptsPerTurnMax = 16;
/// That have not had a first step: 8 turns of HandshakeTurns.
constexpr size_t kFirstWaitingMax = 64;

}  // namespace

TcpListener::TcpListener(TcpListenSockets sockets, const Network::ListenOptions& options,
                         Network::OnConnection on_connection, Channel::Options channel,
                         const Transport& transport, event::Loop& loop)
    : options_(options),
      on_connection_(std::move(on_connection)),
      channel_(channel),
      transport_(transport),
      loop_(loop),
      port_(sockets.port),
      turns_([this] { SetInterest(); }, loop),
      sockets_(sockets.fds.size()) {
  for (size_t i = 0; i < sockets_.size(); ++i) {
    Socket& socket = sockets_[i];
    socket.fd = std::move(sockets.fds[i]);
    socket.watch = loop_.Watch(socket.fd.get(), {.readable = true},
                               [this, &socket](event::Readiness) { AcceptSome(socket); });
  }
}

TcpListener::~TcpListener() { seq_.AssertHeld(); }

Endpoint TcpListener::endpoint() const { return {.host = options_.host, .port = port_}; }

uint64_t TcpListener::refused_total() const {
  seq_.AssertHeld();
  return refused_total_;
}

void TcpListener::AcceptSome(const Socket& socket) {
  seq_.AssertHeld();
  for (int i = 0; i < kAcceptsPerTurnMax; ++i) {
    base::Result<AcceptedSocket> accepted = AcceptTcp(socket.fd.get());
    if (!accepted.ok()) return Rest(accepted.status());
    if (!accepted->fd.valid()) return;
    Receive(*std::move(accepted));
    if (turns_.first_waiting() >= kFirstWaitingMax) return SetInterest();
  }
}

void TcpListener::Rest(const base::Status& why) {
  LOG_EVERY_T(WARNING, 1) << "port " << port_ << ": " << why << "; trying again in "
                          << base::FormatDuration(kAcceptRest);
  rest_ = loop_.After(kAcceptRest, [this] {
    seq_.AssertHeld();
    SetInterest();
  });
  SetInterest();
}

void TcpListener::SetInterest() {
  seq_.AssertHeld();
  const bool accepts = !rest_.active() && turns_.first_waiting() < kFirstWaitingMax;
  for (const Socket& socket : sockets_) loop_.SetInterest(socket.watch, {.readable = accepts});
}

void TcpListener::Receive(AcceptedSocket accepted) {
  const std::string address = accepted.peer.ToString();
  const base::Status places = CheckPlaces();
  if (!places.ok()) return Refuse(address, places);
  if (guests_.size() >= options_.handshakes_max) {
    const std::string oldest = guests_.begin()->second.address;
    guests_.erase(guests_.begin());
    Refuse(oldest, base::ResourceExhaustedError("its handshake is the oldest of " +
                                                std::to_string(options_.handshakes_max) +
                                                ", the most at once, and a newer one has come"));
  }
  const uint64_t id = next_guest_++;
  Guest& guest = guests_[id];
  guest.address = address;
  guest.handshake = std::make_unique<Handshake>(
      transport_.Wrap(std::move(accepted.fd), Transport::Side::kServer),
      [this, id](base::Result<std::unique_ptr<ByteStream>> stream) {
        Admit(id, std::move(stream));
      },
      loop_, &turns_);
  guest.deadline = loop_.After(options_.handshake_timeout, [this, id] {
    Admit(id, base::DeadlineExceededError("its handshake took longer than " +
                                          base::FormatDuration(options_.handshake_timeout)));
  });
}

void TcpListener::Admit(uint64_t id, base::Result<std::unique_ptr<ByteStream>> stream) {
  seq_.AssertHeld();
  const auto found = guests_.find(id);
  const std::string address = found->second.address;
  guests_.erase(found);
  const base::Status status = stream.ok() ? CheckPlaces() : stream.status();
  if (!status.ok()) return Refuse(address, status);
  Peer peer{.name = (*stream)->peer_name(),
            .address = address,
            .own_host = LocalAddressOf((*stream)->fd()).HostText()};
  const Network::OnConnection on_connection = on_connection_;  // which may destroy this
  on_connection(std::make_unique<TcpConnection>(*std::move(stream), std::move(peer), places_,
                                                channel_, loop_));
}

void TcpListener::Refuse(const std::string& address, const base::Status& why) {
  ++refused_total_;
  LOG_EVERY_T(WARNING, 1) << "port " << port_ << ": " << address << " is refused: " << why << " ("
                          << refused_total_ << " refused so far)";
}

base::Status TcpListener::CheckPlaces() {
  const size_t taken = static_cast<size_t>(places_.use_count()) - 1;
  if (options_.connections_max == 0 || taken < options_.connections_max) return base::OkStatus();
  return base::ResourceExhaustedError("there are " + std::to_string(taken) +
                                      " connections, the most that are allowed");
}

}  // namespace lockstep::net
