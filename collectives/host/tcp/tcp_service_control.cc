// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// What TcpService says to those of other members: errors, questions, and how far a member is.
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "collectives/host/tcp/tcp_notes.h"
#include "collectives/host/tcp/tcp_service.h"

namespace lockstep::collectives {
namespace {

std::string TextOf(std::span<const std::byte> bytes) {
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

std::string NoticeFrame(const TcpEnd& end, const std::string& notice) {
  FrameHeader header = end.members().Header(FrameKind::kNotice);
  header.bytes = notice.size();
  return BytesOf(header) + notice;
}

std::string NoteFrame(const TcpEnd& end, uint64_t seq, const std::string& note) {
  FrameHeader header = end.members().Header(FrameKind::kNote);
  header.seq = seq;
  header.bytes = note.size();
  return BytesOf(header) + note;
}

/// Of a question, by its asker's clock. What another end made of it may be no time at all.
base::SteadyTime TimeOf(uint64_t question) {
  return base::SteadyTime(base::Duration(static_cast<int64_t>(question)));
}

}  // namespace

void TcpService::Control(const std::shared_ptr<TcpEnd>& end, int member, std::string frame,
                         Sending sending) {
  if (end->withdrawn.load(std::memory_order_relaxed)) return;
  const bool tells = sending == Sending::kTold;
  const auto place = controls_.find({end.get(), member});
  if (place == controls_.end()) {
    if (sending == Sending::kNote) frame.clear();  // goes with the others when it opens
    Begin(end, {member, FlowPurpose::kControl}, std::move(frame));
    const auto made = controls_.find({end.get(), member});
    if (made != controls_.end()) connections_.at(made->second)->tells = tells;
    return;
  }
  Connection& connection = *connections_.at(place->second);
  const bool open = connection.state == Connection::State::kControl;
  const bool asks = sending == Sending::kQuestion;
  const bool notes = sending == Sending::kNote;  // which go with the others when it opens
  connection.tells |= tells;
  if (tells || (!open && !notes) || (asks && connection.first_frames.empty()))
    connection.first_frames += frame;
  if (!open || (asks && !connection.out.empty())) return;
  connection.out += frame;
  if (tells) connection.deadline = clock_.Now() + kTellTimeout;
  Flush(connection);
}

void TcpService::OnControl(Connection& connection) {
  const uint64_t id = connection.id;
  const FrameSource source = connection.end->members().SourceOf(connection.member);
  while (connection.in.size() >= sizeof(FrameHeader)) {
    const std::span<const std::byte> in(connection.in);
    const auto header = ParseFrameHeader(in.first(sizeof(FrameHeader)), source,
                                         kControlBytesMax - sizeof(FrameHeader));
    if (!header.ok()) return Drop(id);
    const size_t bytes = sizeof(FrameHeader) + header->bytes;
    if (in.size() < bytes) return;
    const bool understood =
        OnControlFrame(connection, *header, in.first(bytes).subspan(sizeof(FrameHeader)));
    if (!connections_.contains(id)) return;
    if (!understood) return Drop(id);
    connection.in.erase(connection.in.begin(),
                        connection.in.begin() + static_cast<ptrdiff_t>(bytes));
  }
}

bool TcpService::OnControlFrame(Connection& connection, const FrameHeader& header,
                                std::span<const std::byte> payload) {
  TcpEnd& end = *connection.end;
  if (connection.listens && header.kind == FrameKind::kQuery) {
    connection.question = header.fingerprint;
    SendState(connection);
    return true;
  }
  if (connection.listens && header.kind == FrameKind::kError) {
    auto record = ParseError(payload, end.members().count());
    if (!record.ok()) return false;
    end.SetError(*std::move(record));
    return true;
  }
  if (connection.listens && header.kind == FrameKind::kNote) {
    if (header.seq == 0 || payload.size() > TcpNotes::kBytesMax) return false;
    end.notes().Put(connection.member, header.seq, TextOf(payload));
    return true;
  }
  if (header.kind == FrameKind::kNotice) return OnNotice(connection, payload);
  if (connection.listens || header.kind != FrameKind::kState) return false;
  const bool left = (header.flags & kStateLeft) != 0;
  const base::SteadyTime now = clock_.Now();
  end.SetFact(connection.member, {.kind = left ? PeerFact::Kind::kLeft : PeerFact::Kind::kAnswered,
                                  .called_seq = header.seq,
                                  .completed_seq = header.count,
                                  .waits = (header.flags & kStateWaits) != 0,
                                  .failed = (header.flags & kStateFailed) != 0,
                                  .late_until = now + std::chrono::milliseconds(header.late_ms),
                                  .at = now,
                                  .asked_at = std::min(TimeOf(header.fingerprint), now)});
  if (left) Drop(connection.id);
  return true;
}

/// From whom it comes, over whichever connection: as told, or with an answer.
bool TcpService::OnNotice(Connection& connection, std::span<const std::byte> payload) {
  TcpEnd& end = *connection.end;
  const int self = end.members().self();
  if (self == 0 || connection.member != TcpNotes::NoticeParentOf(self) ||
      payload.size() > TcpNotes::kBytesMax) {
    return false;
  }
  if (end.notes().SetNotice(TextOf(payload))) TellNotice(connection.end);
  return true;
}

void TcpService::BeginEcho(Connection& connection) {
  if (echoes_.size() >= kMaxEchoes) {
    refused_total_.fetch_add(1, std::memory_order_relaxed);
    Drop(echoes_.front());
  }
  echoes_.push_back(connection.id);
  connection.state = Connection::State::kEcho;
  connection.deadline = clock_.Now() + kEchoTimeout;
  Watch(connection, EPOLLIN);
}

// Who asks sends the next question when it has the answer: one that does not read it is not read
// from.
void TcpService::OnEcho(Connection& connection) {
  constexpr size_t kBytesAtOnce = size_t{64} << 10;
  echo_buffer_.resize(kBytesAtOnce);
  while (true) {
    const bool in_head = connection.echo_left == 0;
    const size_t wanted = in_head ? sizeof connection.echo_bytes - connection.in.size()
                                  : std::min<size_t>(connection.echo_left, kBytesAtOnce);
    const ssize_t got = ::recv(connection.fd.get(), echo_buffer_.data(), wanted, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) return Drop(connection.id);
    if (in_head) {
      connection.in.insert(connection.in.end(), echo_buffer_.begin(), echo_buffer_.begin() + got);
      if (connection.in.size() < sizeof connection.echo_bytes) continue;
      std::memcpy(&connection.echo_bytes, connection.in.data(), sizeof connection.echo_bytes);
      connection.in.clear();
      if (connection.echo_bytes > kProbeBytesMax) return Drop(connection.id);
      connection.echo_left = connection.echo_bytes;
    } else {
      connection.echo_left -= static_cast<uint64_t>(got);
    }
    if (connection.echo_left > 0) continue;
    connection.out += BytesOf(connection.echo_bytes);
    return Flush(connection);
  }
}

void TcpService::SayLeft(Connection& connection) {
  connection.state = Connection::State::kControl;
  connection.closing = true;
  connection.deadline = clock_.Now() + kTellTimeout;
  SendState(connection);
}

void TcpService::SendState(Connection& connection) {
  const TcpEnd& end = *connection.end;
  FrameHeader header = end.members().Header(FrameKind::kState);
  header.seq = end.called_seq.load(std::memory_order_acquire);
  header.count = end.completed_seq.load(std::memory_order_acquire);
  header.fingerprint = connection.question;
  header.flags = static_cast<uint16_t>((end.waits.load() ? kStateWaits : 0) |
                                       (connection.closing ? kStateLeft : 0) |
                                       (end.poisoned() ? kStateFailed : 0));
  const int64_t late_ns =
      end.late_until_ns.load(std::memory_order_acquire) - clock_.Now().time_since_epoch().count();
  header.late_ms = static_cast<uint32_t>(std::clamp<int64_t>(late_ns / 1'000'000, 0, UINT32_MAX));
  // It may have asked because it was not there yet when the notice went around. In front of the
  // state: who reads that this member has left reads no further.
  const auto notice = end.notes().notice();
  if (notice.has_value() && TcpNotes::NoticeParentOf(connection.member) == end.members().self() &&
      connection.member != 0) {
    connection.out += NoticeFrame(end, *notice);
  }
  connection.out += BytesOf(header);
  Flush(connection);
}

void TcpService::Ask(const std::shared_ptr<TcpEnd>& end, std::vector<int> members) {
  Post([this, end, members = std::move(members)] {
    FrameHeader question = end->members().Header(FrameKind::kQuery);
    question.fingerprint = static_cast<uint64_t>(clock_.Now().time_since_epoch().count());
    const std::string frame = BytesOf(question);
    for (const int member : members) Control(end, member, frame, Sending::kQuestion);
  });
}

void TcpService::TellError(const std::shared_ptr<TcpEnd>& end) {
  const auto error = end->error();
  if (!error.has_value()) return;
  const std::vector<std::byte> payload = EncodeError(*error);
  FrameHeader header = end->members().Header(FrameKind::kError);
  header.bytes = payload.size();
  std::string frame = BytesOf(header);
  frame.append(reinterpret_cast<const char*>(payload.data()), payload.size());
  Post([this, end, frame = std::move(frame)] {
    for (int member = 0; member < end->members().count(); ++member) {
      if (member != end->members().self()) Control(end, member, frame, Sending::kTold);
    }
  });
}

void TcpService::TellNotice(const std::shared_ptr<TcpEnd>& end) {
  const auto notice = end->notes().notice();
  if (!notice.has_value()) return;
  Post([this, end, frame = NoticeFrame(*end, *notice)] {
    const TcpMembers& members = end->members();
    for (const int child : TcpNotes::NoticeChildrenOf(members.self(), members.count()))
      Control(end, child, frame, Sending::kTold);
  });
}

std::string TcpService::NotesOf(const TcpEnd& end) {
  std::string frames;
  for (const auto& [seq, bytes] : end.notes().Kept(end.members().self()))
    frames += NoteFrame(end, seq, bytes);
  return frames;
}

void TcpService::SendNote(const std::shared_ptr<TcpEnd>& end, uint64_t seq) {
  const std::optional<std::string> bytes = end->notes().Get(end->members().self(), seq);
  if (!bytes.has_value()) return;  // there are later ones by now
  Post([this, end, frame = NoteFrame(*end, seq, *bytes)] {
    for (int member = 0; member < end->members().count(); ++member) {
      if (member != end->members().self()) Control(end, member, frame, Sending::kNote);
    }
  });
}

}  // namespace lockstep::collectives
