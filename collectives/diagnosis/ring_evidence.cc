// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/diagnosis/ring_evidence.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

namespace lockstep::collectives {
namespace {

/// Elements as the caller gave them, which are the same for all members but of the ops whose counts
/// differ by member: what only a root has, or what grows with the size of the group, is left out.
uint64_t CountOf(const lockstep_record& record) {
  switch (static_cast<OpKind>(record.op)) {
    case OpKind::kAllGather:
    case OpKind::kGather:
    case OpKind::kAllToAllV: return record.count_in;
    case OpKind::kReduceScatter:
    case OpKind::kScatter: return record.count_out;
    default: return std::max(record.count_in, record.count_out);
  }
}

base::Duration AgeOf(uint64_t since_ns, uint64_t now_ns) {
  return base::Duration(static_cast<int64_t>(now_ns > since_ns ? now_ns - since_ns : 0));
}

/// The tag of a group's making in programs that were linked with earlier releases.
constexpr std::string_view kNamelessMaking = "make group";

/// Members that a ring may name, in all its groups: it is in others' reach.
constexpr size_t kMembersMax = size_t{1} << 20;

SeenGroup GroupOf(const lockstep_seat& seat, size_t& named) {
  SeenGroup group{.id = base::GroupId(seat.group_id),
                  .epoch = base::Round(seat.epoch),
                  .name = seat.name,
                  .rank = base::GroupRank(seat.group_rank),
                  .size = seat.group_size};
  const auto size = static_cast<size_t>(seat.group_size);
  if (seat.stride == 0 || seat.first < 0 || size > kMembersMax - named) return group;
  const int64_t last = seat.first + int64_t{seat.stride} * (seat.group_size - 1);
  if (last < 0 || last > INT32_MAX) return group;
  named += size;
  group.members = MemberList::Spaced(base::Rank(seat.first), seat.stride, size);
  return group;
}

/// Up to now: of a program that stands still they become fewer.
std::optional<double> SamplesPerSecond(const RingHead& head, uint64_t now_ns) {
  if (head.samples_since_ns == 0 || head.samples_since_ns >= now_ns) return std::nullopt;
  return static_cast<double>(head.samples) * 1e9 /
         static_cast<double>(now_ns - head.samples_since_ns);
}

}  // namespace

SeenRank FromRing(const RingContent& ring, uint64_t now_ns) {
  SeenRank rank{.rank = base::Rank(ring.head.rank),
                .process = {.host = ring.head.host, .pid = ring.head.pid},
                .ring_read = true,
                .ring_overflowed = ring.head.record_count > ring.head.slot_count ||
                                   ring.head.dropped_count > 0 || ring.torn_count > 0,
                .step = ring.head.step};
  if (ring.head.phase_until_ns > now_ns) rank.phase = ring.head.phase;
  rank.marked_phase = ring.head.phase;
  rank.samples_per_second = SamplesPerSecond(ring.head, now_ns);
  struct Waiters {
    bool collectives = false, transfers = false, streams = false;
  };
  std::map<std::pair<uint64_t, uint32_t>, Waiters> waiters;
  size_t named = 0;
  for (const lockstep_seat& seat : ring.seats) {
    rank.groups.push_back(GroupOf(seat, named));
    waiters[{seat.group_id, seat.epoch}] = {.collectives = seat.waiters > 0,
                                            .transfers = seat.transfer_waiters > 0,
                                            .streams = seat.stream_waiters > 0};
  }
  for (const lockstep_record& record : ring.records) {
    SeenOp op{.group = base::GroupId(record.group_id),
              .epoch = base::Round(record.epoch),
              .seq = base::OpSeq(record.seq),
              .kind = record.op < kOpKindLimit ? static_cast<OpKind>(record.op) : OpKind::kNone,
              .dtype = record.dtype < kDtypeLimit ? static_cast<Dtype>(record.dtype) : Dtype::kU8,
              .reduction = record.reduction < kReductionLimit
                               ? static_cast<Reduction>(record.reduction)
                               : Reduction::kNone,
              .root_or_peer = record.root_or_peer,
              .count = CountOf(record),
              .fingerprint = record.fingerprint,
              .state = static_cast<lockstep_record_state>(record.state),
              .age = AgeOf(record.enqueued_ns, now_ns),
              .call_site = record.call_site};
    if (op.kind == OpKind::kNone || (op.kind == OpKind::kInit && record.tag != kNamelessMaking))
      op.name = record.tag;
    if (record.waiting_on >= 0) op.waits_for = base::Rank(record.waiting_on);
    const auto seat = waiters.find({record.group_id, record.epoch});
    op.caller_waits = op.is_open() && seat != waiters.end() &&
                      (op.is_transfer() ? seat->second.transfers : seat->second.collectives);
    op.stream_waits =
        op.state == LOCKSTEP_RECORD_STARTED && seat != waiters.end() && seat->second.streams;
    // Before its turn on the stream nobody waited in it.
    if (op.stream_waits && !op.caller_waits) op.age = AgeOf(record.started_ns, now_ns);
    rank.ops.push_back(std::move(op));
  }
  return rank;
}

}  // namespace lockstep::collectives
