// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/tcp_calls.h"

#include <limits.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace lockstep::collectives {
namespace {

constexpr size_t kInboxBytes = size_t{16} << 10;
constexpr size_t kPiecesMax = 512;  // below IOV_MAX
static_assert(kPiecesMax <= IOV_MAX);

size_t BytesMax(int count) {
  return static_cast<size_t>(count) * (sizeof(CallEntry) + kEntryPayloadBytesMax);
}

}  // namespace

TcpCalls::TcpCalls(std::shared_ptr<TcpEnd> end, TcpFlows& flows)
    : end_(std::move(end)),
      flows_(flows),
      calls_(static_cast<size_t>(end_->members().count())),
      inboxes_(calls_.size()),
      header_(end_->members().Header(FrameKind::kCalls)) {}

bool TcpCalls::Exchange(const TcpCircle& circle, const CallEntry& mine,
                        std::span<const std::byte> payload, TcpWait& wait,
                        const std::function<void()>& meanwhile) {
  const int size = circle.count();
  const int self = circle.position();
  for (Known& call : calls_) call.known = false;
  Known& own = calls_[static_cast<size_t>(self)];
  own.call = mine;
  own.call.member = self;
  own.payload = payload;
  own.known = true;
  for (int distance = 1; distance < size; distance *= 2) {
    const int to = circle.member(self - distance + size);
    const int from = self + distance;  // its position
    const int count = std::min(distance, size - distance);
    Compose(circle, count, wait);
    Outcome sent = Outcome::kNothing, received = Outcome::kNothing;
    while (true) {
      bool moved = false;
      if (sent != Outcome::kDone) {
        sent = Send(to, wait);
        moved = sent != Outcome::kNothing;
        if (distance == 1 && sent == Outcome::kDone) meanwhile();
      }
      if (received != Outcome::kDone) {
        received = Receive(circle, from, count, wait);
        moved |= received != Outcome::kNothing;
      }
      if (received == Outcome::kFailed) return false;
      if (sent == Outcome::kDone && received == Outcome::kDone) break;
      if (moved) {
        wait.Moved();
        continue;
      }
      const bool goes_on = wait.Idle(TcpWait::Phase::kArrival, [&](TcpWait::Wants& wants) {
        for (int position = 0; position < size; ++position) {
          if (!calls_[static_cast<size_t>(position)].known)
            wants.missing.push_back(circle.member(position));
        }
        if (sent != Outcome::kDone) {
          wants.direct.push_back(to);
          std::erase(wants.missing, to);
          wants.missing.push_back(to);
          wants.fds.push_back({flows_.out_fd(to, FlowPurpose::kCalls), POLLOUT, 0});
        }
        if (received != Outcome::kDone) {
          wants.direct.push_back(circle.member(from));
          wants.fds.push_back({flows_.in_fd(circle.member(from), FlowPurpose::kCalls), POLLIN, 0});
        }
      });
      if (!goes_on) return false;
    }
    wait.Moved();
  }
  return true;
}

void TcpCalls::Compose(const TcpCircle& circle, int count, const TcpWait& wait) {
  const int self = circle.position();
  header_.seq = wait.seq();
  header_.fingerprint = calls_[static_cast<size_t>(self)].call.fingerprint;
  header_.count = static_cast<uint64_t>(count);
  header_.bytes = 0;
  pieces_.clear();
  pieces_.push_back({&header_, sizeof header_});
  for (int i = 0; i < count; ++i) {
    Known& known = calls_[static_cast<size_t>((self + i) % circle.count())];
    pieces_.push_back({&known.call, sizeof known.call});
    header_.bytes += sizeof known.call + known.payload.size();
    if (!known.payload.empty()) {
      pieces_.push_back({const_cast<std::byte*>(known.payload.data()), known.payload.size()});
    }
  }
  first_piece_ = 0;
}

TcpCalls::Outcome TcpCalls::Send(int to, TcpWait& wait) {
  TcpFlow* const flow = flows_.Out(to, FlowPurpose::kCalls);
  if (flow == nullptr) return Outcome::kNothing;
  ssize_t sent =
      flow->Send({&pieces_[first_piece_], std::min(pieces_.size() - first_piece_, kPiecesMax)});
  if (sent == kFlowClosed) wait.Closed(to, flow->fault());
  if (sent <= 0) return Outcome::kNothing;
  for (; sent > 0; ++first_piece_) {
    iovec& piece = pieces_[first_piece_];
    const size_t bytes = std::min(piece.iov_len, static_cast<size_t>(sent));
    sent -= static_cast<ssize_t>(bytes);
    if (bytes == piece.iov_len) continue;
    piece = {static_cast<std::byte*>(piece.iov_base) + bytes, piece.iov_len - bytes};
    break;
  }
  return first_piece_ == pieces_.size() ? Outcome::kDone : Outcome::kMoved;
}

TcpCalls::Outcome TcpCalls::Receive(const TcpCircle& circle, int from, int count, TcpWait& wait) {
  const int member = circle.member(from);
  Inbox& inbox = inboxes_[static_cast<size_t>(member)];
  const Outcome before = Parse(circle, from, count, wait);
  if (before != Outcome::kNothing) return before;
  TcpFlow* const flow = flows_.In(member, FlowPurpose::kCalls);
  if (flow == nullptr) return Outcome::kNothing;
  const ssize_t got = flow->Receive(inbox.bytes.data() + inbox.end, inbox.bytes.size() - inbox.end);
  if (got == kFlowClosed) wait.Closed(member, flow->fault());
  if (got <= 0) return Outcome::kNothing;
  inbox.end += static_cast<size_t>(got);
  const Outcome after = Parse(circle, from, count, wait);
  return after == Outcome::kNothing ? Outcome::kMoved : after;
}

/// kNothing: more bytes are wanted, for which there is room then.
TcpCalls::Outcome TcpCalls::Parse(const TcpCircle& circle, int from, int count, TcpWait& wait) {
  const int member = circle.member(from);
  Inbox& inbox = inboxes_[static_cast<size_t>(member)];
  if (inbox.bytes.empty()) inbox.bytes.resize(kInboxBytes);
  const auto fail = [&](const base::Status& status) {
    wait.FailProtocol(member, status);
    return Outcome::kFailed;
  };
  const std::span<const std::byte> held(inbox.bytes.data() + inbox.begin, inbox.end - inbox.begin);
  size_t wanted = sizeof(FrameHeader);
  if (held.size() >= wanted) {
    const auto header =
        ParseFrameHeader(held.first(wanted), end_->members().SourceOf(member), BytesMax(count));
    if (!header.ok()) return fail(header.status());
    if (header->kind != FrameKind::kCalls || header->seq != wait.seq() ||
        header->count != static_cast<uint64_t>(count)) {
      return fail(base::DataLossError("op " + std::to_string(header->seq) + " came in its place"));
    }
    wanted += header->bytes;
    if (held.size() >= wanted) {
      const auto entries =
          ParseCallEntries(held.first(wanted).subspan(sizeof(FrameHeader)), from % circle.count(),
                           static_cast<size_t>(count), circle.count());
      if (!entries.ok()) return fail(entries.status());
      for (const ParsedEntry& entry : *entries) {
        Known& known = calls_[static_cast<size_t>(entry.call.member)];
        known.call = entry.call;
        known.kept.assign(entry.payload.begin(), entry.payload.end());
        known.payload = known.kept;
        known.known = true;
      }
      inbox.begin += wanted;
      if (inbox.begin == inbox.end) inbox.begin = inbox.end = 0;
      return Outcome::kDone;
    }
  }
  if (inbox.begin > 0) {
    std::memmove(inbox.bytes.data(), held.data(), held.size());
    inbox.end = held.size();
    inbox.begin = 0;
  }
  if (inbox.bytes.size() < wanted) inbox.bytes.resize(wanted);
  return Outcome::kNothing;
}

}  // namespace lockstep::collectives
