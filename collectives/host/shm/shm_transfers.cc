// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/shm/shm_transfers.h"

#include <algorithm>
#include <string>

namespace lockstep::collectives {
namespace {

// Published after each, so that the receiver copies while the sender goes on.
constexpr size_t kLaneChunk = size_t{16} << 10;

std::string Describe(const Moving& moving, const ShmMembers& members) {
  const Op& op = moving.op;
  return DescribeOp(op.kind, op.dtype, Reduction::kNone, op.peer, op.count) + ", number " +
         moving.seq.ToString() + " of its pair in group " + members.config().group_name;
}

}  // namespace

bool ShmTransfers::Advance(Moving& moving) {
  const Op& op = moving.op;
  const bool sends = op.kind == OpKind::kSend;
  const bool peer_left = members_.HasLeft(op.peer);  // before the ring: what it sent counts
  ShmLane lane(members_, sends ? members_.self() : op.peer, sends ? op.peer : members_.self());
  const size_t had_moved = moving.moved;
  const bool had_begun = moving.begun;
  if (sends) {
    Push(moving, lane);
  } else {
    Pull(moving, lane);
  }
  if (moving.moved != had_moved || moving.begun != had_begun) members_.WakeSleepers();
  if (!moving.result.ok() || (moving.begun && moving.moved == op.bytes())) return true;
  if (error_.poisoned()) {
    moving.result = error_.FailedBefore(error_.Get());
  } else if (peer_left) {
    moving.result = LeftError(moving);
  }
  return !moving.result.ok();
}

void ShmTransfers::Push(Moving& moving, ShmLane& lane) const {
  const Op& op = moving.op;
  if (!moving.begun) {
    if (lane.room() < sizeof(LaneHeader)) return;
    const LaneHeader header{.seq = moving.seq.value(),
                            .count = op.count,
                            .dtype = static_cast<uint32_t>(op.dtype),
                            .reserved = 0};
    lane.Write(&header, sizeof header);
    moving.begun = true;
  }
  while (const size_t bytes = std::min({op.bytes() - moving.moved, kLaneChunk, lane.room()})) {
    lane.Write(op.in + moving.moved, bytes);
    moving.moved += bytes;
  }
}

void ShmTransfers::Pull(Moving& moving, ShmLane& lane) {
  const Op& op = moving.op;
  if (!moving.begun) {
    if (lane.filled() < sizeof(LaneHeader)) return;
    LaneHeader header;
    lane.Read(&header, sizeof header);
    moving.begun = true;
    if (!HeaderFits(moving, header)) {
      moving.result = HeaderError(moving, header);
      return;
    }
  }
  while (const size_t bytes = std::min({op.bytes() - moving.moved, kLaneChunk, lane.filled()})) {
    lane.Read(op.out + moving.moved, bytes);
    moving.moved += bytes;
  }
}

bool ShmTransfers::HeaderFits(const Moving& moving, const LaneHeader& header) const {
  return header.seq == moving.seq.value() && header.count == moving.op.count &&
         header.dtype == static_cast<uint32_t>(moving.op.dtype);
}

base::Status ShmTransfers::HeaderError(const Moving& moving, const LaneHeader& header) {
  const auto peer = ShmMembers::Set().set(static_cast<size_t>(moving.op.peer));
  return error_.Raise(
      base::FailedPreconditionError(
          Describe(moving, members_) + ", met a send of " + std::to_string(header.count) + " " +
          std::string(DtypeName(static_cast<Dtype>(header.dtype))) + " by " +
          members_.Describe(peer) + "; both ends must name the same dtype and count")
          .WithClass(base::FailureClass::kUsage),
      ShmMembers::Set(peer).set(static_cast<size_t>(members_.self())));
}

base::Status ShmTransfers::LeftError(const Moving& moving) {
  const auto peer = ShmMembers::Set().set(static_cast<size_t>(moving.op.peer));
  return error_.Raise(base::UnavailableError(Describe(moving, members_) + ": " +
                                             members_.Describe(peer) + " left the group")
                          .WithClass(base::FailureClass::kPeerDead),
                      peer);
}

}  // namespace lockstep::collectives
