// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// How TcpService makes connections and lets them in, until both ends are proven.
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <cstring>
#include <utility>

#include "collectives/host/tcp/tcp_line.h"
#include "collectives/host/tcp/tcp_options.h"
#include "collectives/host/tcp/tcp_service.h"

namespace lockstep::collectives {
namespace {

constexpr base::Duration kRetryPause = std::chrono::milliseconds(20);

/// A fresh one: random bytes, or the share of a key.
void SetChallenge(TcpConnection& connection, bool sealed, std::array<uint8_t, 32>& challenge) {
  if (!sealed) return net::FillRandom(challenge);
  connection.share = net::KeyShare::Make();
  challenge = connection.share->shown();
}

}  // namespace

HandshakeKey TcpService::KeyFor(const AddressCard& listener) const {
  return {.key = config_.key.view(), .job = config_.job, .listener = listener};
}

/// Everything that passes from now on, if it is to be. False: it cannot be.
bool TcpService::SealIt(Connection& connection, HandshakeRole role, const HandshakeKey& key) {
  if (connection.hello.sealed == 0) return true;
  auto keys = SealKeysOf(role, *connection.share, key, connection.hello, connection.answer);
  connection.share.reset();
  if (!keys.ok()) return false;
  connection.seal = std::make_unique<SealedStream>(*std::move(keys));
  return true;
}

void TcpService::OnHello(Connection& connection) {
  const auto hello = ParseHello(connection.in);
  if (!hello.ok()) return Drop(connection.id);
  // Members whose settings differ make no group, so whoever differs here is none of ours.
  if ((hello->sealed != 0) != Seals(hello->purpose)) return Drop(connection.id);
  connection.in.clear();
  connection.hello = *hello;
  connection.purpose = hello->purpose;
  connection.line = hello->line;
  connection.member = hello->from;
  connection.key = {base::GroupId(hello->group), base::Round(hello->epoch), hello->to};
  Answer& answer = connection.answer;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto left = left_.find(connection.key);
    const auto place = ends_.find(connection.key);
    if (place != ends_.end()) {
      answer.verdict = Answer::Verdict::kWelcome;
      connection.end = place->second;
    } else if (left != left_.end()) {
      answer.verdict = Answer::Verdict::kLeft;
      answer.completed_seq = left->second.completed_seq;
      answer.failed = left->second.failed ? 1 : 0;
    }
  }
  SetChallenge(connection, hello->sealed != 0, answer.challenge);
  Sign(answer, KeyFor(card_), connection.hello);
  connection.state = Connection::State::kProof;
  connection.out = BytesOf(answer);
  connection.closing = answer.verdict != Answer::Verdict::kWelcome;
  Flush(connection);
}

void TcpService::OnProof(Connection& connection) {
  const HandshakeKey key = KeyFor(card_);
  const net::Hmac wanted = ProofOf(key, connection.hello, connection.answer);
  net::Hmac came;
  std::memcpy(came.data(), connection.in.data(), came.size());
  connection.in.clear();
  if (!net::EqualInConstantTime(wanted, came) ||
      !SealIt(connection, HandshakeRole::kListens, key)) {
    return Drop(connection.id);
  }
  std::erase(handshakes_, connection.id);
  connection.state = Connection::State::kParked;
  connection.deadline = base::SteadyTime::max();
  MakeReadyForData(connection.fd.get());
  if (connection.purpose == FlowPurpose::kMeasure) return BeginEcho(connection);
  bool left = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto place = ends_.find(connection.key);
    left = place == ends_.end();
    if (!left) connection.end = place->second;
  }
  const bool speaks_of_none =
      connection.end != nullptr && connection.member >= connection.end->members().count();
  if (speaks_of_none || (left && connection.end == nullptr)) return Drop(connection.id);
  if (left && connection.purpose == FlowPurpose::kControl) return SayLeft(connection);
  if (left) return Drop(connection.id);
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, connection.fd.get(), nullptr);
  if (connection.end == nullptr) return;  // until Register()
  connection.end->SetCome(connection.member);
  if (connection.purpose == FlowPurpose::kControl) {
    connection.state = Connection::State::kControl;
    Watch(connection, EPOLLIN);
    return;
  }
  connection.end->PutIncoming(connection.flow(),
                              TcpLine(std::move(connection.fd), std::move(connection.seal)));
  Drop(connection.id);
}

// ------------------------------------------------------------------------------------- what goes

void TcpService::Begin(const std::shared_ptr<TcpEnd>& end, TcpEnd::Flow flow,
                       std::string first_frames) {
  auto made = std::make_unique<Connection>();
  made->end = end;
  made->member = flow.member;
  made->purpose = flow.purpose;
  made->line = flow.line;
  made->first_frames = std::move(first_frames);
  made->deadline = clock_.Now() + kFlowTimeout;
  made->hello.purpose = flow.purpose;
  made->hello.line = static_cast<uint8_t>(flow.line);
  made->hello.from = end->members().self();
  made->hello.to = flow.member;
  made->hello.epoch = end->members().spec().epoch.value();
  made->hello.group = end->members().id().value();
  Connection& connection = Add(std::move(made));
  if (flow.purpose == FlowPurpose::kControl) controls_[{end.get(), flow.member}] = connection.id;
  ConnectNext(connection);
}

void TcpService::ConnectNext(Connection& connection) {
  const AddressCard& card = connection.end->members().card(connection.member);
  connection.in.clear();
  std::string reason = "has no address";
  while (connection.next_address < card.addresses.size()) {
    const std::string& host = card.addresses[connection.next_address++];
    const auto address = net::NumericAddress({.host = host, .port = card.port});
    if (!address.has_value()) continue;
    auto fd = net::BeginConnectTcp(*address);
    if (!fd.ok()) {
      reason = fd.status().message();
      continue;
    }
    connection.fd = *std::move(fd);
    connection.state = Connection::State::kConnecting;
    const auto addresses_left =
        static_cast<int64_t>(card.addresses.size() - connection.next_address + 1);
    const base::SteadyTime now = clock_.Now();
    connection.next_step = now + (connection.deadline - now) / addresses_left;
    Watch(connection, EPOLLOUT);
    return;
  }
  if (!connection.refusal.empty())
    return Lost(connection, "cannot be reached: " + connection.refusal);
  if (connection.unanswered)
    return Lost(connection, "did not answer; then " + reason, PeerFact::Loss::kSilent);
  Lost(connection, "cannot be reached from here: " + reason,
       connection.purpose == FlowPurpose::kControl ? PeerFact::Loss::kUnasked
                                                   : PeerFact::Loss::kLocal);
}

void TcpService::OnConnected(Connection& connection) {
  const base::Status outcome = net::TcpConnectOutcome(connection.fd.get());
  if (!outcome.ok()) {
    connection.refusal = outcome.message();
    return ConnectNext(connection);
  }
  connection.hello.sealed = Seals(connection.purpose) ? 1 : 0;
  SetChallenge(connection, connection.hello.sealed != 0, connection.hello.challenge);
  connection.state = Connection::State::kAnswer;
  connection.next_step = base::SteadyTime::max();
  connection.out = BytesOf(connection.hello);
  Flush(connection);
}

void TcpService::OnAnswer(Connection& connection) {
  const HandshakeKey key = KeyFor(connection.end->members().card(connection.member));
  const auto answer = ParseAnswer(connection.in, key, connection.hello);
  connection.in.clear();
  if (!answer.ok()) return Lost(connection, "is not there: " + answer.status().message());
  if (answer->verdict == Answer::Verdict::kLeft) {
    connection.end->SetFact(connection.member, {.kind = PeerFact::Kind::kLeft,
                                                .completed_seq = answer->completed_seq,
                                                .failed = answer->failed != 0,
                                                .at = clock_.Now()});
    return Drop(connection.id);
  }
  if (answer->verdict == Answer::Verdict::kUnknown)
    return Lost(connection, "knows nothing of this group in this epoch", PeerFact::Loss::kUnknown);
  connection.end->SetCome(connection.member);
  const net::Hmac proof = ProofOf(key, connection.hello, *answer);
  connection.answer = *answer;
  if (!SealIt(connection, HandshakeRole::kConnects, key))
    return Lost(connection, "is not there: whoever answers there has no key to encrypt with");
  MakeReadyForData(connection.fd.get());
  // An empty socket takes 32 bytes.
  const bool sent = ::send(connection.fd.get(), proof.data(), proof.size(), MSG_NOSIGNAL) ==
                    static_cast<ssize_t>(proof.size());
  if (connection.purpose == FlowPurpose::kControl) {
    // What was sent over an earlier one may be lost with it.
    connection.out = connection.first_frames + NotesOf(*connection.end);
    connection.state = Connection::State::kControl;
    connection.opened = clock_.Now();
    connection.deadline = connection.tells ? clock_.Now() + kTellTimeout : base::SteadyTime::max();
    return sent ? Flush(connection) : Reopen(connection);
  }
  if (!sent) return Lost(connection, "closed its connection while it was made");
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, connection.fd.get(), nullptr);
  connection.end->PutOutgoing(connection.flow(),
                              TcpLine(std::move(connection.fd), std::move(connection.seal)));
  Drop(connection.id);
}

// A listener that is overrun lets go of handshakes; and why a connection ended, its process says to
// who asks anew: again, while there is time.
void TcpService::Reopen(Connection& connection) {
  if (connection.state == Connection::State::kControl) {
    const bool broken = connection.seal != nullptr && !connection.seal->fault().ok();
    if (broken)
      return Lost(connection,
                  "answers over a broken connection: " + connection.seal->fault().message());
    // One that has served for so long was cut on its way, whatever became of one before.
    if (clock_.Now() - connection.opened > kFlowTimeout) connection.again = false;
    if (std::exchange(connection.again, true))
      return Lost(connection, "closed its connection: its process has ended");
    connection.deadline = clock_.Now() + kFlowTimeout;
  }
  connection.state = Connection::State::kPausing;
  connection.next_step = clock_.Now() + kRetryPause;
  connection.next_address = 0;
  connection.refusal.clear();
  connection.unanswered = false;
  connection.in.clear();
  connection.out.clear();
  connection.seal.reset();
  connection.fd.reset();
}

// A measurement that fails says nothing of the member: it may be about to leave.
void TcpService::Lost(Connection& connection, const std::string& reason, PeerFact::Loss loss) {
  if (connection.purpose != FlowPurpose::kMeasure) {
    connection.end->SetFact(
        connection.member,
        {.kind = PeerFact::Kind::kLost, .loss = loss, .at = clock_.Now(), .reason = reason});
  }
  Drop(connection.id);
}

}  // namespace lockstep::collectives
