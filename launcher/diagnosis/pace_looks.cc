// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/diagnosis/pace_looks.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <iterator>
#include <span>
#include <string_view>
#include <utility>

#include "collectives/recorder/ring_reader.h"

namespace lockstep::launcher {
namespace {

using collectives::OpKind;
using collectives::PaceBeat;
using collectives::PaceGroup;
using collectives::PaceLane;
using collectives::PaceWindow;

constexpr size_t kRecordsEachLook = 4096;
constexpr size_t kRecordsOfEachLeast = 16;
constexpr size_t kRecordsOfEachMost = 1024;
constexpr size_t kOpenMax = 64;
constexpr size_t kGroupsMax = 128;  // of a rank; it has seats for 120
constexpr size_t kLanesMax = 64;
constexpr size_t kTransfersMax = 16;  // of a lane, the latest
/// More beats are put together by two.
constexpr size_t kBeatsMax = 128;
/// Where a window has fewer, those of earlier ones are told again, of kIdleWindowsMax at most.
constexpr size_t kBeatsEnough = 24;
constexpr int kIdleWindowsMax = 10;
constexpr size_t kHistoriesMax = 256;
/// What was not called for so long makes room for another.
constexpr base::Duration kHistoryKept = std::chrono::minutes(5);

/// Whether no member's op ends before all have come to it. In an all_to_all_v any two may have
/// nothing for each other, and do not wait. In the others of unequal parts it is the member without
/// one that does not, or is not waited for: it leaves the op out, and so it is left out of all.
bool AllWaitForAll(OpKind kind, const lockstep_record& record) {
  switch (kind) {
    case OpKind::kAllReduce:
    case OpKind::kAllGather:
    case OpKind::kReduceScatter:
    case OpKind::kAllToAll: return record.count_in > 0 || record.count_out > 0;
    case OpKind::kAllGatherV: return record.count_in > 0 && record.count_out > 0;
    // MPI's record has the sum as both: its own part is not known.
    case OpKind::kReduceScatterV: return record.count_out > 0 && record.count_out < record.count_in;
    case OpKind::kBarrier: return true;
    default: return false;
  }
}

/// Whether the program has declared a phase, and said how long it takes. One that says no more than
/// where it is may do so in each step.
bool IsInPhase(std::span<const std::byte> ring, uint64_t now_ns) {
  if (ring.size() < LOCKSTEP_RING_HEADER_BYTES) return false;
  uint64_t until_ns = 0;
  __atomic_load(reinterpret_cast<const uint64_t*>(ring.data() +
                                                  offsetof(lockstep_ring_header, phase_until_ns)),
                &until_ns, __ATOMIC_RELAXED);
  return until_ns != LOCKSTEP_PHASE_MARKED && until_ns > now_ns;
}

/// What MPI calls nonblocking ends, for its caller, when that asks for it; of persistent requests
/// likewise.
bool EndsWhenAskedFor(const lockstep_record& record) {
  const std::string_view name = record.tag;
  if (record.started_ns != record.enqueued_ns) return false;
  return (name.size() > 1 && name[0] == 'I' && name[1] >= 'a' && name[1] <= 'z') ||
         name.ends_with("_init");
}

OpKind KindOf(const lockstep_record& record) {
  return record.op < collectives::kOpKindLimit ? static_cast<OpKind>(record.op) : OpKind::kNone;
}

uint64_t BytesOf(const lockstep_record& record) {
  if (record.bytes_done > 0) return record.bytes_done;
  // What has no dtype is counted in bytes.
  const size_t each = record.dtype > 0 && record.dtype < collectives::kDtypeLimit
                          ? collectives::DtypeBytes(static_cast<collectives::Dtype>(record.dtype))
                          : 1;
  const uint64_t count = std::max(record.count_in, record.count_out);
  return std::min(count, UINT64_MAX / 16) * each;
}

base::Duration Between(uint64_t from_ns, uint64_t to_ns) {
  return base::Duration(static_cast<int64_t>(std::min<uint64_t>(to_ns - from_ns, INT64_MAX)));
}

void Merge(PaceBeat& into, const PaceBeat& beat) {
  into.ops += beat.ops;
  into.step = std::max(into.step, beat.step);
  into.waited += beat.waited;
  into.ended = std::max(into.ended, beat.ended);
  into.in_ops = std::max(into.in_ops, beat.in_ops);
}

void Add(std::deque<PaceBeat>& beats, const PaceBeat& beat) {
  auto place = beats.end();
  while (place != beats.begin() && std::prev(place)->block > beat.block) --place;
  if (place != beats.begin() && std::prev(place)->block == beat.block) {
    Merge(*std::prev(place), beat);
  } else {
    beats.insert(place, beat);
  }
}

void Coarsen(std::deque<PaceBeat>& beats) {
  std::deque<PaceBeat> coarse;
  for (PaceBeat beat : beats) {
    beat.block >>= 1;
    Add(coarse, beat);
  }
  beats = std::move(coarse);
}

}  // namespace

void PaceLooks::Clear() {
  seen_.clear();
  histories_.clear();
}

void PaceLooks::Look(const std::vector<RankLooks::Ring>& rings, base::SteadyTime now) {
  const size_t each = std::clamp(kRecordsEachLook / std::max<size_t>(rings.size(), 1),
                                 kRecordsOfEachLeast, kRecordsOfEachMost);
  now_ = now;
  histories_full_ = false;
  const auto now_ns = static_cast<uint64_t>(now.time_since_epoch().count());
  for (const RankLooks::Ring& ring : rings) {
    const auto [found, is_new] = seen_.try_emplace(ring.rank);
    Seen& seen = found->second;
    if (is_new || seen.incarnation != ring.incarnation)
      seen = {.incarnation = ring.incarnation,
              .next = ring.record_count - std::min<uint64_t>(ring.record_count, each),
              .since = now};
    if (IsInPhase(ring.memory, now_ns)) seen.phase_ns = now_ns;
    if (seen.next != ring.record_count || !seen.open.empty()) Read(seen, ring, each);
  }
}

void PaceLooks::Read(Seen& seen, const RankLooks::Ring& ring, size_t records_max) {
  const std::vector<uint64_t> open = std::exchange(seen.open, {});
  const auto take = [&](uint64_t first, uint64_t end) {
    for (const lockstep_record& record : collectives::ReadRecords(ring.memory, first, end)) {
      if (record.state >= LOCKSTEP_RECORD_COMPLETED) {
        Count(seen, ring, record);
      } else if (seen.open.size() < kOpenMax) {
        seen.open.push_back(record.index);
      }
    }
  };
  for (const uint64_t index : open) take(index, index + 1);
  const uint64_t end = std::max(ring.record_count, seen.next);
  const uint64_t first = std::max(seen.next, end - std::min<uint64_t>(end, records_max));
  if (first > seen.next) BeginAfterGap(seen);
  take(first, end);
  seen.next = end;
}

void PaceLooks::BeginAfterGap(Seen& seen) {
  seen.open.clear();
  seen.has_gap = true;
  for (auto& [key, beats] : seen.groups) {
    beats.beats.clear();
    beats.told = 0;
    beats.group.shift = 0;
  }
}

const lockstep_seat* PaceLooks::SeatOf(Seen& seen, const RankLooks::Ring& ring,
                                       const lockstep_record& record) {
  const GroupKey key{base::GroupId(record.group_id), base::Round(record.epoch)};
  const auto found = seen.seats.find(key);
  if (found != seen.seats.end()) return found->second.group_id != 0 ? &found->second : nullptr;
  if (seen.seats.size() >= 2 * kGroupsMax) seen.seats.clear();
  // Of a group that has no seat by now nothing is known.
  lockstep_seat& kept = seen.seats[key] = {};
  for (const lockstep_seat& seat : collectives::ReadRingSeats(ring.memory)) {
    if (seat.group_id == record.group_id && seat.epoch == record.epoch) kept = seat;
  }
  return kept.group_id != 0 ? &kept : nullptr;
}

void PaceLooks::Count(Seen& seen, const RankLooks::Ring& ring, const lockstep_record& record) {
  const OpKind kind = KindOf(record);
  const bool is_transfer = kind == OpKind::kSend || kind == OpKind::kRecv;
  const uint64_t began =
      record.started_ns != 0 || !is_transfer ? record.started_ns : record.enqueued_ns;
  if (record.state != LOCKSTEP_RECORD_COMPLETED || began == 0 || record.ended_ns <= began) return;
  const uint64_t bytes = BytesOf(record);
  ++seen.ops;
  seen.bytes += bytes;
  if (std::exchange(seen.has_gap, false) && began > seen.in_ops_until_ns)
    seen.gaps_ns += began - seen.in_ops_until_ns;
  // Ops are read in the order in which they began, but for some that others have overtaken. Who
  // called one that ends when asked for may be doing something else.
  const bool ends_when_asked_for = EndsWhenAskedFor(record);
  if (!ends_when_asked_for && record.ended_ns > seen.in_ops_until_ns) {
    seen.in_ops_ns += record.ended_ns - std::max(began, seen.in_ops_until_ns);
    seen.in_ops_until_ns = record.ended_ns;
  }
  if (record.step >= 0) {
    if (seen.first_step < 0) seen.first_step = record.step;
    seen.step = std::max(seen.step, record.step);
  }
  const base::GroupId group(record.group_id);
  const base::Round epoch(record.epoch);
  const OpKey key{group, epoch, kind};
  if (record.seq > 1) AddToHistory(key, Between(began, record.ended_ns));

  const bool tells_lateness = AllWaitForAll(kind, record) && record.group_size > 1;
  if ((!tells_lateness && !is_transfer) || ends_when_asked_for) return;
  const lockstep_seat* const seat = SeatOf(seen, ring, record);
  if (seat == nullptr) return;
  if (is_transfer) {
    CountTransfer(seen, *seat, record, bytes);
  } else {
    CountBeat(seen, *seat, record);
  }
}

void PaceLooks::AddToHistory(const OpKey& key, base::Duration took) {
  auto found = histories_.find(key);
  if (found == histories_.end()) {
    if (histories_.size() >= kHistoriesMax) {
      if (histories_full_) return;
      std::erase_if(histories_,
                    [&](const auto& entry) { return now_ - entry.second.used > kHistoryKept; });
      histories_full_ = histories_.size() >= kHistoriesMax;
      if (histories_full_) return;
    }
    found = histories_.try_emplace(key).first;
  }
  found->second.durations.Add(took);
  found->second.used = now_;
}

void PaceLooks::CountBeat(Seen& seen, const lockstep_seat& seat, const lockstep_record& record) {
  const GroupKey key{base::GroupId(record.group_id), base::Round(record.epoch)};
  if (seen.groups.size() >= kGroupsMax && !seen.groups.contains(key)) return;
  Beats& beats = seen.groups[key];
  if (beats.group.size == 0)
    beats.group = {
        .id = key.first, .epoch = key.second, .name = seat.name, .size = seat.group_size};
  // Who comes late because of a phase that it has declared is not slow: the op is left out.
  const bool follows_phase = seen.phase_ns > beats.last_ended_ns;
  beats.last_ended_ns = std::max(beats.last_ended_ns, record.ended_ns);
  beats.idle_windows = 0;
  if (follows_phase) return;
  const base::Duration waited = Between(record.started_ns, record.ended_ns);
  Add(beats.beats, {.block = record.seq >> beats.group.shift,
                    .ops = 1,
                    .step = record.step,
                    .waited = waited,
                    .ended = Between(0, record.ended_ns),
                    .in_ops = Between(0, seen.in_ops_ns)});
  if (beats.beats.size() > kBeatsMax) {
    ++beats.group.shift;
    Coarsen(beats.beats);
    beats.told /= 2;
  }
  if (waited >= beats.longest) {
    beats.longest = waited;
    beats.group.kind = KindOf(record);
  }
}

void PaceLooks::CountTransfer(Seen& seen, const lockstep_seat& seat, const lockstep_record& record,
                              uint64_t bytes) {
  if (bytes < collectives::kPaceTransferBytesMin) return;
  const bool sends = KindOf(record) == OpKind::kSend;
  const LaneKey key{base::GroupId(record.group_id), base::Round(record.epoch), record.root_or_peer,
                    sends};
  if (seen.lanes.size() >= kLanesMax && !seen.lanes.contains(key)) return;
  Lane& lane = seen.lanes[key];
  lane.lane.group = base::GroupId(record.group_id);
  lane.lane.epoch = base::Round(record.epoch);
  lane.lane.self = base::GroupRank(seat.group_rank);
  lane.lane.peer = base::GroupRank(record.root_or_peer);
  lane.lane.sends = sends;
  // What was called before the one before it had ended waited for that first.
  const uint64_t called = record.started_ns != 0 ? record.started_ns : record.enqueued_ns;
  const uint64_t began = std::max(called, lane.last_ended_ns);
  lane.last_ended_ns = std::max(lane.last_ended_ns, record.ended_ns);
  if (record.ended_ns <= began) return;
  // Those to, or from, several at once have a part of the rank's speed each.
  InProgress& last = sends ? seen.sends : seen.receives;
  const bool overlap = last.lane != key && began < last.until_ns;
  auto& before = seen.lanes[last.until_ns > 0 ? last.lane : key];
  if (overlap && before.last_is_kept && !before.lane.transfers.empty()) {
    before.lane.transfers.pop_back();
    --before.lane.count;
  }
  before.last_is_kept &= !overlap;
  lane.last_is_kept = !overlap;
  last.lane = key;
  last.until_ns = std::max(last.until_ns, record.ended_ns);
  if (overlap) return;
  auto& transfers = lane.lane.transfers;
  if (transfers.size() == kTransfersMax) transfers.erase(transfers.begin());
  transfers.push_back({record.seq, bytes, Between(began, record.ended_ns)});
  ++lane.lane.count;
}

std::optional<PaceGroup> PaceLooks::TakeBeats(Beats& beats) {
  auto& all = beats.beats;
  // A window may be shorter than a step.
  if (beats.idle_windows++ > 0 && all.size() >= kBeatsEnough) return std::nullopt;
  const size_t fresh = all.size() - beats.told;
  if (fresh >= kBeatsEnough) all.erase(all.begin(), all.end() - static_cast<ptrdiff_t>(fresh));
  PaceGroup group = beats.group;
  group.beats.assign(all.begin(), all.end());
  // It makes fewer calls than it did: beats of fewer ops from now on.
  if (beats.group.shift > 0 && fresh > 0 && fresh < kBeatsEnough / 2) {
    --beats.group.shift;
    all.clear();
  }
  while (all.size() > kBeatsEnough) all.pop_front();
  beats.told = all.size();
  beats.longest = base::Duration(0);
  return group;
}

std::vector<PaceWindow> PaceLooks::Take(base::SteadyTime now) {
  std::vector<PaceWindow> windows;
  for (auto& [rank, seen] : seen_) windows.push_back(TakeOf(rank, seen, now));
  return windows;
}

PaceWindow PaceLooks::TakeOf(base::Rank rank, Seen& seen, base::SteadyTime now) {
  PaceWindow window{.rank = rank,
                    .incarnation = seen.incarnation,
                    .host = "",
                    .length = now - seen.since,
                    .ops = seen.ops,
                    .bytes = seen.bytes,
                    .in_ops = Between(seen.in_ops_told_ns, seen.in_ops_ns),
                    .step = seen.step,
                    .steps = seen.first_step >= 0 ? seen.step - seen.first_step : 0,
                    .groups = {},
                    .lanes = {}};
  // Of records that were not read nobody knows: as in the rest of the window.
  const base::Duration known = window.length - Between(0, seen.gaps_ns);
  if (seen.gaps_ns > 0 && known.count() > 0) {
    window.in_ops = base::Duration(static_cast<int64_t>(static_cast<double>(window.in_ops.count()) *
                                                        static_cast<double>(window.length.count()) /
                                                        static_cast<double>(known.count())));
  }
  window.in_ops = std::min(window.in_ops, window.length);
  for (auto& [key, beats] : seen.groups) {
    if (auto group = TakeBeats(beats)) window.groups.push_back(*std::move(group));
  }
  std::erase_if(seen.groups,
                [](const auto& entry) { return entry.second.idle_windows > kIdleWindowsMax; });
  for (auto& [key, lane] : seen.lanes) {
    if (!lane.lane.transfers.empty()) window.lanes.push_back(lane.lane);
    lane.lane.transfers.clear();
    lane.lane.count = 0;
    lane.last_is_kept = false;
  }
  seen.since = now;
  seen.ops = seen.bytes = seen.gaps_ns = 0;
  seen.first_step = seen.step;
  seen.in_ops_told_ns = seen.in_ops_ns;
  return window;
}

std::optional<base::Duration> PaceLooks::UsualAtMost(base::GroupId group, base::Round epoch,
                                                     OpKind kind) const {
  const auto found = histories_.find({group, epoch, kind});
  if (found == histories_.end()) return std::nullopt;
  return found->second.durations.UsualAtMost(static_cast<uint32_t>(seen_.size()));
}

}  // namespace lockstep::launcher
