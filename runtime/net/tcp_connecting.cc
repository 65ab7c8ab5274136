// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/tcp_connecting.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "runtime/net/tcp_connection.h"

namespace lockstep::net {
namespace {

/// The families take turns, the preferred one first; what is too many is left out.
std::vector<SocketAddress> Interleaved(const std::vector<SocketAddress>& addresses, size_t max) {
  std::vector<SocketAddress> first, second;
  for (const SocketAddress& address : addresses) {
    (address.family() == addresses.front().family() ? first : second).push_back(address);
  }
  std::vector<SocketAddress> mixed;
  for (size_t i = 0; i < std::max(first.size(), second.size()); ++i) {
    if (i < first.size()) mixed.push_back(first[i]);
    if (i < second.size()) mixed.push_back(second[i]);
  }
  mixed.resize(std::min(mixed.size(), max));
  return mixed;
}

}  // namespace

TcpConnecting::TcpConnecting(std::vector<Endpoint> endpoints, base::Duration timeout,
                             Network::OnConnected done, Channel::Options channel,
                             const Transport& transport, Resolver& resolver, event::Loop& loop)
    : endpoints_(std::move(endpoints)),
      timeout_(timeout),
      channel_(channel),
      transport_(transport),
      resolver_(resolver),
      loop_(loop),
      done_(std::move(done)),
      heard_(endpoints_.size()) {
  deadline_ = loop_.After(timeout_, [this] { GiveUp(); });
  next_ = loop_.After(base::Duration(0), [this] { BeginRound(); });
}

TcpConnecting::~TcpConnecting() { seq_.AssertHeld(); }

void TcpConnecting::BeginRound() {
  seq_.AssertHeld();
  if (endpoints_.empty()) return Finish(base::InvalidArgumentError("connect: to no endpoint"));
  endpoint_ = 0;
  BeginTurn();
}

void TcpConnecting::BeginTurn() {
  seq_.AssertHeld();
  now_ = {};
  addresses_.clear();
  next_address_ = 0;
  turn_limit_ = loop_.After(kTurnMax, [this] { TurnIsOver(); });
  const Endpoint& endpoint = endpoints_[endpoint_];
  if (const auto address = NumericAddress(endpoint)) return GotAddresses(std::vector{*address});
  question_ = resolver_.Ask(endpoint, [this](const auto& addresses) { GotAddresses(addresses); });
}

void TcpConnecting::GotAddresses(const base::Result<std::vector<SocketAddress>>& addresses) {
  seq_.AssertHeld();
  if (!addresses.ok()) {
    Note(addresses.status().message(), false);
    return EndTurn();
  }
  addresses_ = Interleaved(*addresses, kAddressesMax);
  BeginTry();
}

void TcpConnecting::BeginTry() {
  seq_.AssertHeld();
  const uint64_t number = next_try_++;
  const SocketAddress& address = addresses_[next_address_++];
  Try& one = tries_[number];
  one.address = address.ToString();
  if (next_address_ < addresses_.size()) {
    next_ = loop_.After(kHeadStart, [this] { BeginTry(); });
  }
  base::Result<base::UniqueFd> fd = BeginConnectTcp(address);
  if (!fd.ok()) return TryFailed(number, fd.status());
  one.fd = *std::move(fd);
  one.connected = loop_.Watch(one.fd.get(), {.writable = true},
                              [this, number](event::Readiness) { Connected(number); });
}

void TcpConnecting::Connected(uint64_t number) {
  seq_.AssertHeld();
  Try& one = tries_.at(number);
  const base::Status outcome = TcpConnectOutcome(one.fd.get());
  if (!outcome.ok()) return TryFailed(number, outcome);
  one.connected.reset();
  one.handshake = std::make_unique<Handshake>(
      transport_.Wrap(std::move(one.fd), Transport::Side::kClient),
      [this, number](base::Result<std::unique_ptr<ByteStream>> stream) {
        Shaken(number, std::move(stream));
      },
      loop_);
}

void TcpConnecting::Shaken(uint64_t number, base::Result<std::unique_ptr<ByteStream>> stream) {
  seq_.AssertHeld();
  if (!stream.ok()) return TryFailed(number, stream.status());
  Peer peer{.name = (*stream)->peer_name(),
            .address = tries_.at(number).address,
            .own_host = LocalAddressOf((*stream)->fd()).HostText()};
  Finish(std::make_unique<TcpConnection>(*std::move(stream), std::move(peer), nullptr, channel_,
                                         loop_));
}

void TcpConnecting::TryFailed(uint64_t number, const base::Status& why) {
  const auto found = tries_.find(number);
  Note(found->second.address + ": " + why.message(), why.code() == base::Code::kUnavailable);
  if (why.code() == base::Code::kPermissionDenied && now_.denial.ok()) {
    now_.denial = why.WithFrame("connect to " + endpoints_[endpoint_].ToString() + " at " +
                                found->second.address);
  }
  tries_.erase(found);
  if (next_address_ < addresses_.size()) {
    next_ = loop_.After(base::Duration(0), [this] { BeginTry(); });
  } else if (tries_.empty()) {
    EndTurn();
  }
}

void TcpConnecting::TurnIsOver() {
  seq_.AssertHeld();
  NoteUnanswered();
  EndTurn();
}

void TcpConnecting::NoteUnanswered() {
  for (const auto& [number, one] : tries_) {
    Note(one.address + ": " + (one.handshake ? "it stopped within the handshake" : "no answer"),
         false);
  }
  if (addresses_.empty() && question_ != nullptr && now_.text.empty())
    Note("the name service has not answered", false);
}

void TcpConnecting::EndTurn() {
  heard_[endpoint_] = std::move(now_);
  now_ = {};
  turn_limit_.reset();
  question_.reset();
  tries_.clear();
  if (++endpoint_ == endpoints_.size()) return EndRound();
  next_ = loop_.After(base::Duration(0), [this] { BeginTurn(); });
}

void TcpConnecting::EndRound() {
  for (const Heard& heard : heard_) {
    if (!heard.denial.ok()) return Finish(heard.denial);
  }
  next_ = loop_.After(pause_, [this] { BeginRound(); });
  pause_ = std::min(2 * pause_, kPauseMax);
}

void TcpConnecting::GiveUp() {
  seq_.AssertHeld();
  const bool within_turn = turn_limit_.active();
  if (within_turn) NoteUnanswered();
  // The turn that is on may have heard nothing yet; then the one before counts.
  if (within_turn && !now_.text.empty()) heard_[endpoint_] = std::move(now_);
  bool all_refused = true;
  std::string text = "connect: no agent was reached within " + base::FormatDuration(timeout_);
  for (size_t i = 0; i < endpoints_.size(); ++i) {
    if (!heard_[i].denial.ok()) return Finish(heard_[i].denial);
    all_refused = all_refused && !heard_[i].text.empty() && heard_[i].all_refused;
    text += "; " + endpoints_[i].ToString() + ": ";
    text += heard_[i].text.empty() ? "its turn has not come" : heard_[i].text;
  }
  Finish(all_refused ? base::UnavailableError(text) : base::DeadlineExceededError(text));
}

void TcpConnecting::Note(const std::string& text, bool refused) {
  if (!now_.text.empty()) now_.text += ", ";
  now_.text += text;
  now_.all_refused = now_.all_refused && refused;
}

void TcpConnecting::Finish(base::Result<std::unique_ptr<Connection>> result) {
  deadline_.reset();
  turn_limit_.reset();
  next_.reset();
  question_.reset();
  tries_.clear();
  const Network::OnConnected done = std::move(done_);
  done(std::move(result));
}

}  // namespace lockstep::net
