// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/tcp_transfers.h"

#include <poll.h>
#include <time.h>

#include <algorithm>
#include <cstring>
#include <span>

namespace lockstep::collectives {
namespace {

// Moved at once before other pairs are looked at again.
constexpr size_t kMoveBytesMax = size_t{1} << 20;
constexpr base::Duration kAskAfter = std::chrono::milliseconds(20);
constexpr base::Duration kClosedTime = std::chrono::milliseconds(500);

}  // namespace

TcpTransfers::TcpTransfers(std::shared_ptr<TcpService> service, std::shared_ptr<TcpEnd> end)
    : service_(std::move(service)), end_(std::move(end)), flows_(service_, end_) {}

std::string TcpTransfers::Describe(const Moving& moving) const {
  const Op& op = moving.op;
  return DescribeOp(op.kind, op.dtype, Reduction::kNone, op.peer, op.count) + ", number " +
         moving.seq.ToString() + " of its pair in group " + end_->members().spec().name;
}

base::Status TcpTransfers::Raise(base::Code code, base::FailureClass failure_class,
                                 std::string message, std::vector<int> blamed) {
  ErrorRecord record{.code = code,
                     .failure_class = failure_class,
                     .from_seq = end_->completed_seq.load() + 1,
                     .message = std::move(message)};
  for (const int member : blamed) record.blamed.push_back({member, ""});
  if (!end_->SetError(std::move(record))) return end_->FailedBefore();
  service_->TellError(end_);
  return end_->ErrorStatus();
}

bool TcpTransfers::IsOver(const Moving& moving) const {
  return !moving.result.ok() || (moving.begun && moving.moved == moving.op.bytes());
}

bool TcpTransfers::Advance(Moving& moving) {
  const Op& op = moving.op;
  if (op.peer == end_->members().self()) return AdvanceSelf(moving);
  const bool receives = op.kind == OpKind::kRecv;
  Lane& lane = lanes_[{op.peer, receives}];
  const size_t moved = receives ? Pull(moving, lane) : Push(moving, lane);
  if (IsOver(moving)) {
    lane.header_bytes = 0;
    lane.since = base::SteadyTime();
    return true;
  }
  if (end_->poisoned()) {
    moving.result = end_->FailedBefore();
  } else if (moved > 0) {
    lane.since = base::SteadyTime();
  } else {
    LookForIt(moving, lane);
  }
  return !moving.result.ok();
}

void TcpTransfers::LookForIt(Moving& moving, Lane& lane) {
  const base::SteadyTime now = clock_.Now();
  if (lane.since == base::SteadyTime()) {
    lane.since = now;
    return;
  }
  const int peer = moving.op.peer;
  if (now - lane.since < kAskAfter && !lane.closed) return;
  if (!std::exchange(lane.asked, true)) service_->Ask(end_, {peer});
  const PeerFact fact = end_->fact(peer);
  // What it sent before it left counts: until the connection's end has come.
  const bool may_still_come = moving.op.kind == OpKind::kRecv && !lane.closed &&
                              flows_.In(peer, FlowPurpose::kTransfers) != nullptr;
  if (may_still_come) return;
  const TcpMembers& members = end_->members();
  if (fact.is_cut_here()) {
    moving.result =
        Raise(base::Code::kUnavailable, base::FailureClass::kNetwork,
              Describe(moving) + ": " + members.DescribeWithPlace(members.self()) +
                  " cannot go on: " + members.DescribeWithPlace(peer) + " " + fact.reason,
              {members.self()});
    return;
  }
  std::string reason;
  if (fact.kind == PeerFact::Kind::kLeft && fact.failed && now - fact.at < kClosedTime) return;
  if (fact.kind == PeerFact::Kind::kLeft) {
    reason = members.Describe({peer}) + " left the group";
  } else if (fact.kind == PeerFact::Kind::kLost && !fact.is_unasked()) {
    reason = members.DescribeWithPlace(peer) + " " + fact.reason;
  } else if (lane.closed && now - lane.since > kClosedTime) {
    reason = members.DescribeWithPlace(peer) + " closed its connection";
  } else {
    return;
  }
  moving.result = Raise(base::Code::kUnavailable, base::FailureClass::kPeerDead,
                        Describe(moving) + ": " + reason, {peer});
}

bool TcpTransfers::AdvanceSelf(Moving& moving) {
  const Op& op = moving.op;
  if (end_->poisoned()) {
    moving.result = end_->FailedBefore();
    return true;
  }
  moving.begun = true;
  if (op.kind == OpKind::kSend) {
    to_self_.emplace_back(op.dtype, std::vector<std::byte>(op.in, op.in + op.bytes()));
    moving.moved = op.bytes();
    return true;
  }
  if (to_self_.empty()) {
    moving.begun = false;
    return false;
  }
  const auto [dtype, data] = std::move(to_self_.front());
  to_self_.pop_front();
  if (dtype != op.dtype || data.size() != op.bytes()) {
    moving.result = Raise(base::Code::kFailedPrecondition, base::FailureClass::kUsage,
                          Describe(moving) + ", met a send of " +
                              std::to_string(data.size() / DtypeBytes(dtype)) + " " +
                              std::string(DtypeName(dtype)) + " by itself",
                          {op.peer});
    return true;
  }
  if (!data.empty()) std::memcpy(op.out, data.data(), data.size());
  moving.moved = op.bytes();
  return true;
}

size_t TcpTransfers::Push(Moving& moving, Lane& lane) {
  const Op& op = moving.op;
  TcpFlow* const flow = flows_.Out(op.peer, FlowPurpose::kTransfers);
  if (flow == nullptr || lane.closed) return 0;
  if (!moving.begun && lane.header_bytes == 0) {
    FrameHeader header = end_->members().Header(FrameKind::kTransfer);
    header.seq = moving.seq.value();
    header.bytes = op.bytes();
    header.count = op.count;
    header.dtype = static_cast<uint32_t>(op.dtype);
    std::memcpy(lane.header.data(), &header, sizeof header);
  }
  size_t total = 0;
  while (!IsOver(moving) && total < kMoveBytesMax) {
    const size_t header_left = sizeof(FrameHeader) - lane.header_bytes;
    const iovec pieces[] = {{lane.header.data() + lane.header_bytes, header_left},
                            {const_cast<std::byte*>(op.in) + moving.moved,
                             std::min(op.bytes() - moving.moved, kMoveBytesMax)}};
    const ssize_t sent = flow->Send(pieces);
    if (sent == kFlowClosed) Closed(moving, lane, *flow);
    if (sent == 0) blocked_[flow->out_fd()] = POLLOUT;
    if (sent <= 0) break;
    total += static_cast<size_t>(sent);
    const size_t of_header = std::min(header_left, static_cast<size_t>(sent));
    lane.header_bytes += of_header;
    moving.begun = lane.header_bytes == sizeof(FrameHeader);
    moving.moved += static_cast<size_t>(sent) - of_header;
  }
  return total;
}

size_t TcpTransfers::Pull(Moving& moving, Lane& lane) {
  const Op& op = moving.op;
  TcpFlow* const flow = flows_.In(op.peer, FlowPurpose::kTransfers);
  if (flow == nullptr || lane.closed) return 0;
  size_t total = 0;
  if (!moving.begun) total = PullHeader(moving, lane, *flow);
  while (moving.begun && !IsOver(moving) && total < kMoveBytesMax) {
    const ssize_t got =
        flow->Receive(op.out + moving.moved, std::min(op.bytes() - moving.moved, kMoveBytesMax));
    if (got == kFlowClosed) Closed(moving, lane, *flow);
    if (got == 0) blocked_[flow->in_fd()] = POLLIN;
    if (got <= 0) break;
    total += static_cast<size_t>(got);
    moving.moved += static_cast<size_t>(got);
  }
  return total;
}

/// The other end is gone, or what came is not what it sent: an error at once.
void TcpTransfers::Closed(Moving& moving, Lane& lane, const TcpFlow& flow) {
  lane.closed = true;
  const base::Status fault = flow.fault();
  if (fault.ok()) return;
  moving.result =
      Raise(fault.code(), base::FailureClass::kNetwork,
            Describe(moving) + ": the connection with " +
                end_->members().DescribeWithPlace(moving.op.peer) + ": " + fault.message(),
            {moving.op.peer});
}

size_t TcpTransfers::PullHeader(Moving& moving, Lane& lane, TcpFlow& flow) {
  const Op& op = moving.op;
  const ssize_t got =
      flow.Receive(lane.header.data() + lane.header_bytes, sizeof(FrameHeader) - lane.header_bytes);
  if (got == kFlowClosed) Closed(moving, lane, flow);
  if (got == 0) blocked_[flow.in_fd()] = POLLIN;
  if (got <= 0) return 0;
  lane.header_bytes += static_cast<size_t>(got);
  if (lane.header_bytes < sizeof(FrameHeader)) return static_cast<size_t>(got);
  moving.begun = true;
  const auto header = ParseFrameHeader(lane.header, end_->members().SourceOf(op.peer), UINT64_MAX);
  if (!header.ok() || header->kind != FrameKind::kTransfer || header->seq != moving.seq.value()) {
    moving.result =
        Raise(base::Code::kDataLoss, base::FailureClass::kNetwork,
              Describe(moving) + ": what " + end_->members().DescribeWithPlace(op.peer) +
                  " sent is not that: " + header.status().message(),
              {op.peer});
  } else if (header->count != op.count || header->dtype != static_cast<uint32_t>(op.dtype) ||
             header->bytes != op.bytes()) {
    const auto dtype = header->dtype < kDtypeLimit ? static_cast<Dtype>(header->dtype) : op.dtype;
    moving.result =
        Raise(base::Code::kFailedPrecondition, base::FailureClass::kUsage,
              Describe(moving) + ", met a send of " + std::to_string(header->count) + " " +
                  std::string(DtypeName(dtype)) + " by " + end_->members().Describe({op.peer}) +
                  "; both ends must name the same dtype and count",
              {op.peer, end_->members().self()});
  }
  return static_cast<size_t>(got);
}

void TcpTransfers::Await(base::Duration at_most) {
  std::vector<pollfd> fds;
  for (const auto& [fd, events] : blocked_) fds.push_back({fd, events, 0});
  blocked_.clear();
  fds.push_back({end_->bell(true), POLLIN, 0});
  const timespec timeout{.tv_sec = at_most.count() / 1'000'000'000,
                         .tv_nsec = at_most.count() % 1'000'000'000};
  ::ppoll(fds.data(), fds.size(), &timeout, nullptr);
  if (fds.back().revents != 0) end_->ClearBell(true);
}

}  // namespace lockstep::collectives
