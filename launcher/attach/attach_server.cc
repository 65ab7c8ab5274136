// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/attach/attach_server.h"

#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "collectives/recorder/recorder.h"
#include "launcher/attach/packet.h"
#include "launcher/attach/rank_ring.h"
#include "runtime/base/check.h"
#include "runtime/base/logging.h"
#include "runtime/net/unix_socket.h"

namespace lockstep::launcher {
namespace {

// One connection may not keep the loop from the others: the rest is read at the next turn.
constexpr int kMessagesPerTurn = 64;
constexpr base::Duration kAcceptRetry = std::chrono::milliseconds(50);

base::Status CheckLength(const char* what, const std::string& text, size_t capacity) {
  if (text.size() < capacity) return base::OkStatus();
  return base::InvalidArgumentError(std::string("serving ranks: ") + what + " has " +
                                    std::to_string(text.size()) + " bytes; at most " +
                                    std::to_string(capacity - 1) + " can be told to them");
}

// Takes the same time wherever the first difference lies.
bool SameCookie(const uint8_t* a, const uint8_t* b) {
  unsigned difference = 0;
  for (size_t i = 0; i < LOCKSTEP_ATTACH_COOKIE_BYTES; ++i)
    difference |= static_cast<unsigned>(a[i] ^ b[i]);
  return difference == 0;
}

std::string ReadBootId() {
  std::string id;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> id;
  return id;
}

}  // namespace

base::Result<std::unique_ptr<AttachServer>> AttachServer::Create(Config config, event::Loop& loop) {
  RETURN_IF_ERROR(CheckLength("the job's id", config.job_id, sizeof(lockstep_attach_world::job)));
  RETURN_IF_ERROR(CheckLength("the host's name", config.host, sizeof(lockstep_attach_world::host)));
  RETURN_IF_ERROR(CheckLength("the checkpoint folder", config.checkpoint_directory,
                              sizeof(lockstep_attach_world::checkpoint_directory)));
  ASSIGN_OR_RETURN(base::UniqueFd listener,
                   net::ListenUnix(config.socket_path, net::UnixSocketKind::kPackets));
  return std::unique_ptr<AttachServer>(
      new AttachServer(std::move(config), loop, std::move(listener)));
}

AttachServer::AttachServer(Config config, event::Loop& loop, base::UniqueFd listener)
    : config_(std::move(config)),
      loop_(loop),
      listener_(std::move(listener)),
      boot_id_(config_.boot_id),
      segments_(config_.limits.segments),
      cards_(config_.cards) {
  accept_watch_ = loop_.Watch(listener_.get(), {.readable = true},
                              [this](event::Readiness) { OnConnecting(); });
}

AttachServer::~AttachServer() {
  EndRound();
  ::unlink(config_.socket_path.c_str());
}

// -------------------------------------------------------------------------------- the agent's side

std::string AttachServer::AddRank(const RankWorld& world) {
  seq_.AssertHeld();
  LOCKSTEP_CHECK(
      world.world_size >= 1 && world.rank.value() >= 0 && world.rank.value() < world.world_size,
      "a rank lies in its world");
  Member member{.world = world};
  // 32 bytes come whole: getrandom is only short above 256, and blocks only before the machine is
  // up.
  const ssize_t random_bytes = getrandom(member.cookie.data(), member.cookie.size(), 0);
  LOCKSTEP_CHECK(random_bytes == static_cast<ssize_t>(member.cookie.size()),
                 "the kernel gives random bytes");
  char text[2 * LOCKSTEP_ATTACH_COOKIE_BYTES + 1];
  lockstep_attach_encode_cookie(member.cookie.data(), text);
  std::vector<uint64_t> stale;
  for (const auto& [id, connection] : connections_) {
    if (connection.rank == world.rank) stale.push_back(id);
  }
  for (const uint64_t id : stale) Drop(id);
  members_[world.rank] = std::move(member);
  return text;
}

void AttachServer::RequestStop(base::Duration grace) {
  seq_.AssertHeld();
  stop_grace_ = grace;
  Notify(&Notices::stop);
}

void AttachServer::RequestCheckpoint() {
  seq_.AssertHeld();
  ++checkpoint_number_;
  Notify(&Notices::checkpoint);
}

void AttachServer::EndRound() {
  seq_.AssertHeld();
  survivors_round_.reset();
  gone_.Clear();
  connections_.clear();
  members_.clear();
  segments_.Clear();
  network_.reset();
  stop_grace_.reset();
  if (!accept_again_.active()) loop_.SetInterest(accept_watch_, {.readable = true});
}

int AttachServer::RecorderFd(base::Rank rank) const {
  seq_.AssertHeld();
  const auto it = members_.find(rank);
  return it != members_.end() ? it->second.ring.get() : -1;
}

// ------------------------------------------------------------------------------------- connections

void AttachServer::OnConnecting() {
  seq_.AssertHeld();
  while (connections_.size() < static_cast<size_t>(config_.limits.connections)) {
    base::Result<base::UniqueFd> accepted = net::AcceptUnix(listener_.get());
    if (!accepted.ok()) {
      // No descriptor is free. Asking again at once would only burn the loop.
      loop_.SetInterest(accept_watch_, {});
      accept_again_ = loop_.After(kAcceptRetry,
                                  [this] { loop_.SetInterest(accept_watch_, {.readable = true}); });
      return;
    }
    if (!accepted->valid()) return;
    const base::Result<net::PeerCredentials> peer = net::PeerOf(accepted->get());
    if (!peer.ok()) continue;  // closes it
    const uint64_t id = next_connection_++;
    Connection& connection = connections_[id];
    connection.socket = std::move(*accepted);
    connection.pid = peer->pid;
    if (const base::Status ours = net::CheckPeerIsOurs(*peer, geteuid()); !ours.ok()) {
      Refuse(id, ours);
      continue;
    }
    connection.watch =
        loop_.Watch(connection.socket.get(), {.readable = true},
                    [this, id](event::Readiness readiness) { OnReady(id, readiness); });
    connection.hello_timer = loop_.After(config_.limits.hello_timeout, [this, id] { Drop(id); });
  }
  loop_.SetInterest(accept_watch_, {});  // Drop() looks again
}

void AttachServer::Drop(uint64_t id) {
  seq_.AssertHeld();
  const auto it = connections_.find(id);
  if (it != connections_.end() && it->second.card_answer) cards_->Forget(id);
  connections_.erase(id);
  if (!accept_again_.active()) loop_.SetInterest(accept_watch_, {.readable = true});
}

void AttachServer::OnReady(uint64_t id, event::Readiness readiness) {
  seq_.AssertHeld();
  for (int i = 0; i < kMessagesPerTurn; ++i) {
    const auto it = connections_.find(id);
    if (it == connections_.end()) return;
    lockstep_attach_message message;
    const ssize_t length =
        recv(it->second.socket.get(), &message, sizeof message, MSG_DONTWAIT | MSG_TRUNC);
    if (length < 0 && errno == EINTR) continue;
    if (length < 0 && errno == EAGAIN) break;
    if (length <= 0) return Drop(id);  // the rank has closed
    if (const char* const wrong = lockstep_attach_check(
            &message, static_cast<size_t>(length), LOCKSTEP_ATTACH_FROM_RANK, it->second.version)) {
      return Refuse(id, base::InvalidArgumentError(
                            std::string("the agent cannot use this message: ") + wrong +
                            "; build the program with the same release as the agent"));
    }
    if (!OnMessage(id, message)) return;
  }
  const auto it = connections_.find(id);
  if (it != connections_.end() && readiness.writable && !SendDueNotices(it->second)) Drop(id);
}

bool AttachServer::OnMessage(uint64_t id, const lockstep_attach_message& message) {
  const bool greeted = connections_.at(id).rank.has_value();
  const bool is_hello = message.header.type == LOCKSTEP_ATTACH_HELLO;
  if (greeted == is_hello) {
    Refuse(id, base::FailedPreconditionError(
                   "the first message of a rank, and only that one, is its hello"));
    return false;
  }
  if (is_hello) return OnHello(id, message.hello);
  switch (message.header.type) {
    case LOCKSTEP_ATTACH_SEGMENT_REQUEST: return OnSegmentRequest(id, message.segment_request);
    case LOCKSTEP_ATTACH_NETWORK_REQUEST: return OnNetworkRequest(id);
    case LOCKSTEP_ATTACH_CARD: return OnCard(id, message.card);
    case LOCKSTEP_ATTACH_GIVE_UP: return OnGiveUp(id);
    case LOCKSTEP_ATTACH_WATCH_ROUNDS: return OnWatchRounds(id);
    case LOCKSTEP_ATTACH_EXCLUDE: return OnExclude(id, message.exclude);
    default: return OnProgress(id, message.progress);
  }
}

void AttachServer::Refuse(uint64_t id, const base::Status& why) {
  Connection& connection = connections_.at(id);
  LOG(WARNING) << "refused process " << connection.pid << ": " << why;
  lockstep_attach_refused answer{};
  lockstep_attach_set_header(&answer.header, LOCKSTEP_ATTACH_REFUSED, 0, sizeof answer);
  answer.status = static_cast<uint32_t>(why.code());
  CopyText(why.message(), answer.text, sizeof answer.text);
  (void)SendPacket(connection.socket.get(), &answer, sizeof answer, -1);
  Drop(id);
}

// ------------------------------------------------------------------------------------------- hello

AttachServer::Member* AttachServer::FindByCookie(const uint8_t* cookie) {
  Member* found = nullptr;
  for (auto& [rank, member] : members_) {  // all of them, for the same reason as in SameCookie
    if (SameCookie(member.cookie.data(), cookie) && !member.is_gone) found = &member;
  }
  return found;
}

bool AttachServer::OnHello(uint64_t id, const lockstep_attach_hello& hello) {
  const uint16_t version = lockstep_attach_agree(&hello);
  if (version == 0) {
    Refuse(id, base::FailedPreconditionError(
                   "the program speaks the attach protocol's versions " +
                   std::to_string(hello.lowest_version) + " to " +
                   std::to_string(hello.highest_version) + ", this agent " +
                   std::to_string(LOCKSTEP_ATTACH_LOWEST_VERSION) + " to " +
                   std::to_string(LOCKSTEP_ATTACH_VERSION) +
                   "; use releases of program and `lockstep` that are closer to each other"));
    return false;
  }
  Member* const member = FindByCookie(hello.cookie);
  if (member == nullptr) {
    Refuse(id, base::UnauthenticatedError(
                   "the cookie names no rank of the round in force; a process of an ended round, "
                   "or LOCKSTEP_COOKIE was changed"));
    return false;
  }
  const base::Rank rank = member->world.rank;
  const auto of_rank = std::count_if(connections_.begin(), connections_.end(),
                                     [&](const auto& entry) { return entry.second.rank == rank; });
  if (of_rank >= config_.limits.connections_per_rank) {
    Refuse(id, base::ResourceExhaustedError("rank " + rank.ToString() + " is attached " +
                                            std::to_string(of_rank) +
                                            " times already, the limit: once for itself, and once "
                                            "for each group over several machines that it is "
                                            "making; make fewer of these at a time"));
    return false;
  }
  if (base::Status made = PrepareRing(*member); !made.ok()) {
    Refuse(id, made);
    return false;
  }
  Connection& connection = connections_.at(id);
  connection.version = version;
  if (!SendWorld(connection, *member)) {
    Drop(id);
    return false;
  }
  connection.rank = rank;
  connection.hello_timer.reset();
  connection.due.stop = stop_grace_.has_value();
  if (!SendDueNotices(connection)) {
    Drop(id);
    return false;
  }
  return true;
}

base::Status AttachServer::PrepareRing(Member& member) {
  if (member.ring.valid()) return base::OkStatus();
  if (boot_id_.empty()) boot_id_ = ReadBootId();
  ASSIGN_OR_RETURN(member.ring, MakeRing({.job = config_.job_id,
                                          .host = config_.host,
                                          .boot_id = boot_id_,
                                          .rank = member.world.rank,
                                          .round = member.world.round,
                                          .incarnation = member.world.incarnation,
                                          .world_size = member.world.world_size}));
  return base::OkStatus();
}

bool AttachServer::SendWorld(Connection& connection, const Member& member) {
  lockstep_attach_world world{};
  lockstep_attach_set_header(&world.header, LOCKSTEP_ATTACH_WORLD, connection.version,
                             sizeof world);
  world.rank = member.world.rank.value();
  world.local_rank = member.world.local_rank.value();
  world.world_size = member.world.world_size;
  world.local_world_size = member.world.local_world_size;
  world.node_index = member.world.node_index.value();
  world.node_count = member.world.node_count;
  world.round = round_of(member).value();
  if (config_.keeps_survivors && connection.version >= LOCKSTEP_ATTACH_ROUNDS_VERSION)
    world.flags |= LOCKSTEP_ATTACH_KEEPS_SURVIVORS;
  world.incarnation = member.world.incarnation.value();
  world.restart_count = static_cast<uint32_t>(member.world.restart_count);
  world.ring_bytes = collectives::RingBytes();
  CopyText(config_.job_id, world.job, sizeof world.job);
  CopyText(config_.host, world.host, sizeof world.host);
  CopyText(config_.checkpoint_directory, world.checkpoint_directory,
           sizeof world.checkpoint_directory);
  return SendPacket(connection.socket.get(), &world, sizeof world, member.ring.get());
}

// ----------------------------------------------------------------------------------------- notices

void AttachServer::Notify(bool Notices::* notice) {
  std::vector<uint64_t> broken;
  for (auto& [id, connection] : connections_) {
    if (!connection.rank.has_value()) continue;
    if (notice == &Notices::round && !connection.watches_rounds) continue;
    connection.due.*notice = true;
    if (!SendDueNotices(connection)) broken.push_back(id);
  }
  for (const uint64_t id : broken) Drop(id);
}

// Notices are few, and a repeated one replaces the one before: what a full socket refuses waits as
// one bit each.
bool AttachServer::SendDueNotices(Connection& connection) {
  const auto send_if = [&](bool& due, const auto& message, int fd = -1) {
    if (!due) return true;
    if (SendPacket(connection.socket.get(), &message, sizeof message, fd)) {
      due = false;
      return true;
    }
    return errno == EAGAIN;
  };
  lockstep_attach_stop stop{};
  lockstep_attach_set_header(&stop.header, LOCKSTEP_ATTACH_STOP, connection.version, sizeof stop);
  if (stop_grace_) {
    stop.grace_ms = static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(*stop_grace_).count());
  }
  lockstep_attach_checkpoint checkpoint{};
  lockstep_attach_set_header(&checkpoint.header, LOCKSTEP_ATTACH_CHECKPOINT, connection.version,
                             sizeof checkpoint);
  checkpoint.number = checkpoint_number_;
  lockstep_attach_round round{};
  lockstep_attach_set_header(&round.header, LOCKSTEP_ATTACH_ROUND, connection.version,
                             sizeof round);
  round.round = survivors_round_.value_or(base::Round()).value();
  round.gone_count = gone_.count();
  if (!send_if(connection.due.stop, stop) || !send_if(connection.due.checkpoint, checkpoint))
    return false;
  if (connection.due.round) {
    const base::Result<int> gone = gone_.File();
    if (gone.ok()) {
      if (!send_if(connection.due.round, round, *gone)) return false;
    } else {
      LOG(ERROR) << "a rank is not yet told which ones are gone: " << gone.status();
    }
  }
  if (connection.due.any() != connection.watches_writable) {
    connection.watches_writable = connection.due.any();
    loop_.SetInterest(connection.watch,
                      {.readable = true, .writable = connection.watches_writable});
  }
  return true;
}

}  // namespace lockstep::launcher
