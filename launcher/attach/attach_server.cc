// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/attach/attach_server.h"

#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "collectives/recorder/recorder.h"
#include "runtime/attach/shared_memory.h"
#include "runtime/base/check.h"
#include "runtime/base/errno_status.h"
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

void CopyText(const std::string& text, char* to, size_t capacity) {
  text.copy(to, capacity - 1);  // the message was zeroed
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
      boot_id_(config_.boot_id) {
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
  connections_.clear();
  members_.clear();
  segments_.clear();
  segment_bytes_ = 0;
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
  if (message.header.type == LOCKSTEP_ATTACH_SEGMENT_REQUEST)
    return OnSegmentRequest(id, message.segment_request);
  return OnProgress(id, message.progress);
}

void AttachServer::Refuse(uint64_t id, const base::Status& why) {
  Connection& connection = connections_.at(id);
  LOG(WARNING) << "refused process " << connection.pid << ": " << why;
  lockstep_attach_refused answer{};
  lockstep_attach_set_header(&answer.header, LOCKSTEP_ATTACH_REFUSED, 0, sizeof answer);
  answer.status = static_cast<uint32_t>(why.code());
  CopyText(why.message(), answer.text, sizeof answer.text);
  (void)Send(connection, &answer, sizeof answer, -1);
  Drop(id);
}

// ------------------------------------------------------------------------------------------- hello

AttachServer::Member* AttachServer::FindByCookie(const uint8_t* cookie) {
  Member* found = nullptr;
  for (auto& [rank, member] : members_) {  // all of them, for the same reason as in SameCookie
    if (SameCookie(member.cookie.data(), cookie)) found = &member;
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
                                            std::to_string(of_rank) + " times already, the limit"));
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
  const size_t bytes = collectives::RingBytes();
  base::UniqueFd ring(lockstep_shared_memory_create("lockstep-recorder", bytes));
  if (!ring.valid())
    return base::ErrnoStatus(errno,
                             "making the recorder ring of rank " + member.world.rank.ToString());
  void* const header =
      mmap(nullptr, LOCKSTEP_RING_HEADER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, ring.get(), 0);
  if (header == MAP_FAILED) return base::ErrnoStatus(errno, "mapping a recorder ring's header");
  if (boot_id_.empty()) boot_id_ = ReadBootId();
  collectives::FormatRing({.job = config_.job_id,
                           .host = config_.host,
                           .boot_id = boot_id_,
                           .rank = member.world.rank,
                           .round = member.world.round,
                           .incarnation = member.world.incarnation,
                           .world_size = member.world.world_size},
                          LOCKSTEP_RING_DEFAULT_SLOTS, *static_cast<lockstep_ring_header*>(header));
  munmap(header, LOCKSTEP_RING_HEADER_BYTES);
  member.ring = std::move(ring);
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
  world.round = member.world.round.value();
  world.incarnation = member.world.incarnation.value();
  world.restart_count = static_cast<uint32_t>(member.world.restart_count);
  world.ring_bytes = collectives::RingBytes();
  CopyText(config_.job_id, world.job, sizeof world.job);
  CopyText(config_.host, world.host, sizeof world.host);
  CopyText(config_.checkpoint_directory, world.checkpoint_directory,
           sizeof world.checkpoint_directory);
  return Send(connection, &world, sizeof world, member.ring.get());
}

// ---------------------------------------------------------------------------------------- requests

base::Status AttachServer::MaySegments(const Connection& connection,
                                       const lockstep_attach_segment_request& request) const {
  const base::Round round = members_.at(*connection.rank).world.round;
  if (request.epoch != round.value()) {
    return base::FailedPreconditionError("shared memory was asked for in epoch " +
                                         std::to_string(request.epoch) + ", but round " +
                                         round.ToString() + " is in force");
  }
  for (const auto& [id, other] : connections_) {
    if (!other.has_segments || other.rank != connection.rank || other.pid == connection.pid)
      continue;
    return base::AlreadyExistsError(
        "process " + std::to_string(connection.pid) + " asks for the groups of rank " +
        connection.rank->ToString() + ", and process " + std::to_string(other.pid) +
        " has them; one process is the rank, and a helper that it starts must not inherit "
        "LOCKSTEP_COOKIE when it makes groups too");
  }
  return base::OkStatus();
}

base::Result<AttachServer::Segments::iterator> AttachServer::FindSegment(
    const lockstep_attach_segment_request& request) {
  const SegmentKey key{request.group_id, request.epoch};
  if (const auto it = segments_.find(key); it != segments_.end()) {
    const SharedSegment& segment = it->second;
    if (segment.bytes == request.bytes && segment.member_count == request.member_count) return it;
    return base::FailedPreconditionError(
        "the members of one group ask for different memory: " + std::to_string(request.bytes) +
        " bytes for " + std::to_string(request.member_count) + " members, and before " +
        std::to_string(segment.bytes) + " bytes for " + std::to_string(segment.member_count) +
        "; do all ranks run the same program?");
  }
  const Limits& limits = config_.limits;
  if (segments_.size() >= static_cast<size_t>(limits.segments_held) ||
      request.bytes > limits.segment_bytes_held - segment_bytes_) {
    return base::ResourceExhaustedError(
        "no more shared memory for groups that not all members have come to: there are " +
        std::to_string(segments_.size()) + ", of " + std::to_string(segment_bytes_) + " bytes, " +
        std::to_string(request.bytes) + " were asked for, and " +
        std::to_string(limits.segments_held) + " groups of " +
        std::to_string(limits.segment_bytes_held) + " bytes are the limit");
  }
  base::UniqueFd memory(lockstep_shared_memory_create("lockstep-group", request.bytes));
  if (!memory.valid()) {
    return base::ErrnoStatus(
        errno, "making shared memory of " + std::to_string(request.bytes) + " bytes for a group");
  }
  segment_bytes_ += request.bytes;
  return segments_
      .emplace(key, SharedSegment{request.bytes, request.member_count, std::move(memory), {}})
      .first;
}

bool AttachServer::OnSegmentRequest(uint64_t id, const lockstep_attach_segment_request& request) {
  Connection& connection = connections_.at(id);
  lockstep_attach_segment answer{};
  lockstep_attach_set_header(&answer.header, LOCKSTEP_ATTACH_SEGMENT, connection.version,
                             sizeof answer);
  answer.request_id = request.request_id;
  answer.bytes = request.bytes;
  auto segment = segments_.end();
  base::Status error = MaySegments(connection, request);
  if (error.ok()) {
    base::Result<Segments::iterator> found = FindSegment(request);
    error = found.status();
    if (found.ok()) segment = *found;
  }
  answer.status = static_cast<uint32_t>(error.code());
  CopyText(error.message(), answer.text, sizeof answer.text);
  if (!Send(connection, &answer, sizeof answer, error.ok() ? segment->second.memory.get() : -1)) {
    Drop(id);  // a rank that asks faster than it reads
    return false;
  }
  if (!error.ok()) return true;
  connection.has_segments = true;
  segment->second.fetched.insert(request.member_index);
  if (segment->second.fetched.size() < segment->second.member_count) return true;
  segment_bytes_ -= segment->second.bytes;
  segments_.erase(segment);
  return true;
}

bool AttachServer::OnProgress(uint64_t id, const lockstep_attach_progress& progress) {
  const Member& member = members_.at(*connections_.at(id).rank);
  if (config_.on_progress)
    config_.on_progress(member.world.rank, member.world.incarnation, progress.step);
  return connections_.contains(id);  // the callback may have ended the round
}

// ----------------------------------------------------------------------------------------- notices

void AttachServer::Notify(bool Notices::* notice) {
  std::vector<uint64_t> broken;
  for (auto& [id, connection] : connections_) {
    if (!connection.rank.has_value()) continue;
    connection.due.*notice = true;
    if (!SendDueNotices(connection)) broken.push_back(id);
  }
  for (const uint64_t id : broken) Drop(id);
}

// Notices are few, and a repeated one replaces the one before: what a full socket refuses waits as
// one bit each.
bool AttachServer::SendDueNotices(Connection& connection) {
  const auto send_if = [&](bool& due, const auto& message) {
    if (!due) return true;
    if (Send(connection, &message, sizeof message, -1)) {
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
  if (!send_if(connection.due.stop, stop) || !send_if(connection.due.checkpoint, checkpoint))
    return false;
  if (connection.due.any() != connection.watches_writable) {
    connection.watches_writable = connection.due.any();
    loop_.SetInterest(connection.watch,
                      {.readable = true, .writable = connection.watches_writable});
  }
  return true;
}

// False with errno; a message goes whole or not at all.
bool AttachServer::Send(const Connection& connection, const void* message, size_t length, int fd) {
  iovec part{.iov_base = const_cast<void*>(message), .iov_len = length};
  msghdr envelope{};
  envelope.msg_iov = &part;
  envelope.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  if (fd >= 0) {
    envelope.msg_control = control;
    envelope.msg_controllen = sizeof control;
    cmsghdr* const header = CMSG_FIRSTHDR(&envelope);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  ssize_t sent;
  do {
    sent = sendmsg(connection.socket.get(), &envelope, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent >= 0;
}

}  // namespace lockstep::launcher
