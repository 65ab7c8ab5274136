// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/mpi/mpi_transfers.h"

#include <algorithm>
#include <cstring>
#include <string>

namespace lockstep::collectives {
namespace {

constexpr int kTransferTag = 2;
constexpr size_t kPieceBytes = size_t{1} << 20;  // as MpiRounds::kRoundBytes
constexpr size_t kPiecesUnderWay = 2;

}  // namespace

struct MpiTransfers::Head {
  uint64_t seq;
  uint64_t count;
  uint32_t dtype;
  uint32_t reserved;
};

MpiTransfers::MpiTransfers(MpiEngine& engine, std::shared_ptr<MpiGroup> group)
    : engine_(engine),
      group_(std::move(group)),
      sends_(static_cast<size_t>(group_->size())),
      receives_(sends_.size()) {}

bool MpiTransfers::Advance(Moving& moving) {
  const bool receives = moving.op.kind == OpKind::kRecv;
  const auto place = std::pair(moving.op.peer, receives);
  const bool under_way = lanes_.contains(place);
  Lane& lane = lanes_[place];
  const bool gone = PeerIsGone(moving);  // before the calls: what it sent counts
  if (receives ? Pull(moving, lane) : Push(moving, lane)) {
    if (moving.result.ok()) ++(receives ? receives_ : sends_)[static_cast<size_t>(moving.op.peer)];
    lanes_.erase(place);
    return true;
  }
  if (const base::Status root = group_->error(); !root.ok()) {
    const bool died = root.failure_class() == base::FailureClass::kPeerDead;
    moving.result = died && under_way ? root : group_->FailedBefore(root);
  } else if (gone) {
    moving.result = group_->Publish(
        base::UnavailableError(Describe(moving) + ": " + group_->DescribeMembers({moving.op.peer}) +
                               " left the group")
            .WithClass(base::FailureClass::kPeerDead),
        nullptr, {moving.op.peer});
  }
  if (moving.result.ok()) return false;
  lanes_.erase(place);
  return true;
}

bool MpiTransfers::Push(Moving& moving, Lane& lane) {
  const Op& op = moving.op;
  if (lane.head == nullptr) {
    lane.head = std::make_shared<MpiCall>();
    lane.head->kind = LOCKSTEP_MPI_SEND;
    lane.head->peer = op.peer;
    lane.head->tag = kTransferTag;
    lane.head->count = sizeof(Head);
    const Head head{moving.seq.value(), op.count, static_cast<uint32_t>(op.dtype), 0};
    std::memcpy(lane.head->in.Reserve(sizeof head), &head, sizeof head);
    engine_.Post(group_, lane.head);
    moving.begun = true;
  }
  while (!lane.pieces.empty() && lane.pieces.front().first->done()) {
    if (Failed(moving, *lane.pieces.front().first)) return true;
    moving.moved += lane.pieces.front().second;
    lane.pieces.pop_front();
  }
  while (lane.posted < op.bytes() && lane.pieces.size() < kPiecesUnderWay) PostPiece(moving, lane);
  if (lane.head->done() && Failed(moving, *lane.head)) return true;
  return lane.head->done() && moving.moved == op.bytes();
}

bool MpiTransfers::Pull(Moving& moving, Lane& lane) {
  const Op& op = moving.op;
  if (lane.head == nullptr) {
    lane.head = std::make_shared<MpiCall>();
    lane.head->kind = LOCKSTEP_MPI_RECV;
    lane.head->peer = op.peer;
    lane.head->tag = kTransferTag;
    lane.head->count = sizeof(Head);
    lane.head->out.Reserve(sizeof(Head));
    engine_.Post(group_, lane.head);
  }
  if (!moving.begun && !ReadHead(moving, lane)) return !moving.result.ok();
  while (!lane.pieces.empty() && lane.pieces.front().first->done()) {
    const auto& [piece, bytes] = lane.pieces.front();
    if (Failed(moving, *piece)) return true;
    std::memcpy(op.out + moving.moved, piece->out.data(), bytes);
    moving.moved += bytes;
    lane.pieces.pop_front();
  }
  while (lane.posted < op.bytes() && lane.pieces.size() < kPiecesUnderWay) PostPiece(moving, lane);
  return moving.moved == op.bytes();
}

void MpiTransfers::PostPiece(const Moving& moving, Lane& lane) {
  const Op& op = moving.op;
  const size_t bytes = std::min(kPieceBytes, op.bytes() - lane.posted);
  auto piece = std::make_shared<MpiCall>();
  piece->peer = op.peer;
  piece->tag = kTransferTag;
  piece->count = static_cast<int>(bytes);
  if (op.kind == OpKind::kSend) {
    piece->kind = LOCKSTEP_MPI_SEND;
    std::memcpy(piece->in.Reserve(bytes), op.in + lane.posted, bytes);
  } else {
    piece->kind = LOCKSTEP_MPI_RECV;
    piece->out.Reserve(bytes);
  }
  lane.posted += bytes;
  lane.pieces.emplace_back(piece, bytes);
  engine_.Post(group_, std::move(piece));
}

bool MpiTransfers::ReadHead(Moving& moving, const Lane& lane) {
  if (!lane.head->done() || Failed(moving, *lane.head)) return false;
  Head head;
  std::memcpy(&head, lane.head->out.data(), sizeof head);
  moving.begun = true;
  if (head.seq == moving.seq.value() && head.count == moving.op.count &&
      head.dtype == static_cast<uint32_t>(moving.op.dtype))
    return true;
  moving.result = group_->Publish(
      base::FailedPreconditionError(Describe(moving) + ", met a send of " +
                                    std::to_string(head.count) + " " +
                                    std::string(DtypeName(static_cast<Dtype>(head.dtype))) +
                                    " by " + group_->DescribeMembers({moving.op.peer}) +
                                    "; both ends must name the same dtype and count")
          .WithClass(base::FailureClass::kUsage),
      nullptr, {moving.op.peer, group_->self()});
  return false;
}

bool MpiTransfers::Failed(Moving& moving, const MpiCall& call) {
  if (call.status().ok()) return false;
  moving.result = group_->Publish(call.status().WithFrame(Describe(moving)), nullptr, {});
  return true;
}

bool MpiTransfers::PeerIsGone(const Moving& moving) const {
  const auto farewell = group_->FarewellOf(moving.op.peer);
  if (!farewell.has_value()) return false;
  return (moving.op.kind == OpKind::kRecv ? farewell->sends : farewell->receives) <
         moving.seq.value();
}

std::string MpiTransfers::Describe(const Moving& moving) const {
  const Op& op = moving.op;
  return DescribeOp(op.kind, op.dtype, Reduction::kNone, op.peer, op.count) + " number " +
         moving.seq.ToString() + " of group " + group_->spec().name;
}

}  // namespace lockstep::collectives
