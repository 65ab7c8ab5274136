// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/diagnosis/pace_messages.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "collectives/types.h"

namespace lockstep::launcher {
namespace {

using collectives::OpKind;
using collectives::PaceBeat;
using collectives::PaceGroup;
using collectives::PaceLane;
using collectives::PaceWindow;
using proto::Verdict;

constexpr int kRanksMax = 4096;
constexpr int kGroupsMax = 128;  // of a rank
constexpr int kLanesMax = 64;
constexpr int kEntriesMax = 256;
constexpr int kShiftMax = 62;
constexpr size_t kNameMax = 64;
constexpr int kLines = 32;
/// Of anything told: sums of these do not overflow.
constexpr int64_t kDurationMax = int64_t{1} << 50;

uint64_t Microseconds(base::Duration duration) {
  return static_cast<uint64_t>(std::max<int64_t>(duration.count(), 0) + 500) / 1000;
}
base::Duration OfMicroseconds(int64_t value) {
  return base::Duration(std::clamp<int64_t>(value, 0, kDurationMax / 1000) * 1000);
}
base::Duration OfNanoseconds(int64_t value) {
  return base::Duration(std::clamp<int64_t>(value, 0, kDurationMax));
}

/// Differences wrap around, as anybody may have told them.
int64_t Difference(int64_t to, int64_t from) {
  return static_cast<int64_t>(static_cast<uint64_t>(to) - static_cast<uint64_t>(from));
}
int64_t Sum(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}

void Tell(const PaceGroup& group, proto::GroupWindow& told) {
  told.set_group(group.id.value());
  told.set_epoch(group.epoch.value());
  told.set_name(group.name);
  told.set_size(group.size);
  told.set_shift(group.shift);
  told.set_kind(static_cast<uint32_t>(group.kind));
  // Clocks may have run for years: what is told is bounded, and a window is short.
  base::Duration ended_least{INT64_MAX}, in_ops_least{INT64_MAX};
  for (const PaceBeat& beat : group.beats) {
    ended_least = std::min(ended_least, beat.ended);
    in_ops_least = std::min(in_ops_least, beat.in_ops);
  }
  uint64_t block = 0;
  int64_t step = 0, ended = 0, in_ops = 0;
  for (const PaceBeat& beat : group.beats) {
    told.add_block(beat.block - block);
    told.add_ops(beat.ops);
    told.add_step(Difference(beat.step, step));
    told.add_waited_us(Microseconds(beat.waited));
    const auto ended_us = static_cast<int64_t>(Microseconds(beat.ended - ended_least));
    told.add_ended_us(Difference(ended_us, ended));
    const auto in_ops_us = static_cast<int64_t>(Microseconds(beat.in_ops - in_ops_least));
    told.add_in_ops_us(Difference(in_ops_us, in_ops));
    block = beat.block;
    step = beat.step;
    ended = ended_us;
    in_ops = in_ops_us;
  }
}

PaceGroup GroupOf(const proto::GroupWindow& told) {
  PaceGroup group{.id = base::GroupId(told.group()),
                  .epoch = base::Round(told.epoch()),
                  .name = told.name().substr(0, kNameMax),
                  .size = std::max(told.size(), 0),
                  .shift = std::clamp(told.shift(), 0, kShiftMax),
                  .kind = told.kind() < collectives::kOpKindLimit ? static_cast<OpKind>(told.kind())
                                                                  : OpKind::kNone,
                  .beats = {}};
  const int count = told.block_size();
  if (count > kEntriesMax || told.ops_size() != count || told.step_size() != count ||
      told.waited_us_size() != count || told.ended_us_size() != count ||
      told.in_ops_us_size() != count)
    return group;
  uint64_t block = 0;
  int64_t step = 0, ended = 0, in_ops = 0;
  for (int i = 0; i < count; ++i) {
    block += told.block(i);
    step = Sum(step, told.step(i));
    ended = Sum(ended, told.ended_us(i));
    in_ops = Sum(in_ops, told.in_ops_us(i));
    group.beats.push_back({.block = block,
                           .ops = told.ops(i),
                           .step = std::clamp<int64_t>(step, -1, INT64_MAX / 4),
                           .waited = OfMicroseconds(static_cast<int64_t>(std::min<uint64_t>(
                               told.waited_us(i), static_cast<uint64_t>(kDurationMax)))),
                           .ended = OfMicroseconds(ended),
                           .in_ops = OfMicroseconds(in_ops)});
  }
  return group;
}

void Tell(const PaceLane& lane, proto::LaneWindow& told) {
  told.set_group(lane.group.value());
  told.set_epoch(lane.epoch.value());
  told.set_self(lane.self.value());
  told.set_peer(lane.peer.value());
  told.set_sends(lane.sends);
  for (const PaceLane::Transfer& transfer : lane.transfers) {
    told.add_seq(transfer.seq);
    told.add_bytes(transfer.bytes);
    told.add_took_us(Microseconds(transfer.took));
  }
  told.set_count(lane.count);
}

PaceLane LaneOf(const proto::LaneWindow& told) {
  PaceLane lane{.group = base::GroupId(told.group()),
                .epoch = base::Round(told.epoch()),
                .self = base::GroupRank(told.self()),
                .peer = base::GroupRank(told.peer()),
                .sends = told.sends(),
                .transfers = {},
                .count = told.count()};
  const int count = told.seq_size();
  if (count > kEntriesMax || told.bytes_size() != count || told.took_us_size() != count)
    return lane;
  for (int i = 0; i < count; ++i) {
    lane.transfers.push_back({told.seq(i), told.bytes(i),
                              OfMicroseconds(static_cast<int64_t>(std::min<uint64_t>(
                                  told.took_us(i), static_cast<uint64_t>(kDurationMax))))});
  }
  return lane;
}

/// Takes from the windows what can best be spared: links, then the earlier half of what is known of
/// groups. Returns whether there was anything left to take.
bool Cut(std::vector<PaceWindow>& windows) {
  bool had_lanes = false, had_beats = false;
  for (PaceWindow& window : windows) {
    had_lanes |= !window.lanes.empty();
    window.lanes.clear();
    window.is_cut = true;
  }
  if (had_lanes) return true;
  for (PaceWindow& window : windows) {
    for (PaceGroup& group : window.groups) {
      const size_t spared = (group.beats.size() + 1) / 2;
      group.beats.erase(group.beats.begin(), group.beats.begin() + static_cast<ptrdiff_t>(spared));
      had_beats |= spared > 0;
    }
    std::erase_if(window.groups, [](const PaceGroup& group) { return group.beats.empty(); });
  }
  return had_beats;
}

const PacedProcess* Find(const std::vector<PacedProcess>& processes, base::Rank rank) {
  const auto found = std::find_if(processes.begin(), processes.end(),
                                  [&](const PacedProcess& one) { return one.rank == rank; });
  return found != processes.end() ? &*found : nullptr;
}

void AddCulprit(base::Rank rank, const std::string& why, const std::vector<PacedProcess>& processes,
                Verdict& verdict) {
  proto::Culprit& culprit = *verdict.add_culprits();
  culprit.set_rank(rank.value());
  culprit.set_why(why);
  const PacedProcess* const process = Find(processes, rank);
  if (process == nullptr) return;
  culprit.set_host(process->host);
  culprit.set_pid(static_cast<int32_t>(process->pid));
}

std::string Percent(double share) { return std::to_string(std::lround(share * 100)) + " %"; }

/// The latest ranks first: a line each.
void AddRanks(const collectives::Pace& pace, Verdict& verdict) {
  std::vector<collectives::RankPace> ranks = pace.ranks;
  std::stable_sort(ranks.begin(), ranks.end(),
                   [](const auto& a, const auto& b) { return a.lateness > b.lateness; });
  proto::Evidence& evidence = *verdict.add_evidence();
  evidence.set_kind(proto::Evidence::PACE);
  for (const collectives::RankPace& rank : ranks) {
    if (evidence.lines_size() == kLines) break;
    const bool is_late = rank.lateness.count() >= 0;
    evidence.add_lines("rank " + rank.rank.ToString() + " comes " +
                       base::FormatDuration(is_late ? rank.lateness : -rank.lateness) +
                       (is_late ? " later" : " earlier") + " than the others, and is in ops for " +
                       Percent(rank.in_ops_share) + " of its time");
  }
}

}  // namespace

proto::NodePace ToProto(const std::vector<PaceWindow>& windows) {
  proto::NodePace told;
  told.set_cut(std::any_of(windows.begin(), windows.end(),
                           [](const PaceWindow& window) { return window.is_cut; }));
  for (const PaceWindow& window : windows) {
    proto::RankWindow& rank = *told.add_ranks();
    rank.set_rank(window.rank.value());
    rank.set_incarnation(window.incarnation.value());
    rank.set_length_ns(window.length.count());
    rank.set_ops(window.ops);
    rank.set_bytes(window.bytes);
    rank.set_in_ops_ns(window.in_ops.count());
    rank.set_step(window.step);
    rank.set_steps(window.steps);
    for (const PaceGroup& group : window.groups) Tell(group, *rank.add_groups());
    for (const PaceLane& lane : window.lanes) Tell(lane, *rank.add_lanes());
  }
  return told;
}

std::string PackPaces(std::vector<PaceWindow> windows, size_t bytes_max) {
  while (true) {
    std::string packed = ToProto(windows).SerializeAsString();
    if (packed.size() <= bytes_max) return packed;
    if (!Cut(windows)) return "";
  }
}

std::vector<PaceWindow> WindowsOf(const proto::NodePace& told) {
  std::vector<PaceWindow> windows;
  for (const proto::RankWindow& rank : told.ranks()) {
    if (windows.size() == kRanksMax) break;
    PaceWindow window{.rank = base::Rank(rank.rank()),
                      .incarnation = base::Incarnation(rank.incarnation()),
                      .host = "",
                      .length = OfNanoseconds(rank.length_ns()),
                      .ops = rank.ops(),
                      .bytes = rank.bytes(),
                      .in_ops = OfNanoseconds(rank.in_ops_ns()),
                      .step = std::clamp<int64_t>(rank.step(), -1, INT64_MAX / 4),
                      .steps = std::clamp<int64_t>(rank.steps(), 0, INT64_MAX / 4),
                      .groups = {},
                      .lanes = {},
                      .is_cut = told.cut()};
    for (const proto::GroupWindow& group : rank.groups()) {
      if (std::ssize(window.groups) < kGroupsMax) window.groups.push_back(GroupOf(group));
    }
    for (const proto::LaneWindow& lane : rank.lanes()) {
      if (std::ssize(window.lanes) < kLanesMax) window.lanes.push_back(LaneOf(lane));
    }
    windows.push_back(std::move(window));
  }
  return windows;
}

proto::JobPace ToProto(const collectives::Pace& pace, base::Duration length, base::Duration age) {
  proto::JobPace told;
  told.set_window_ns(length.count());
  told.set_age_ns(age.count());
  for (const collectives::RankPace& rank : pace.ranks) {
    proto::RankPace& one = *told.add_ranks();
    one.set_rank(rank.rank.value());
    if (rank.step >= 0) one.set_step(rank.step);
    one.set_steps_per_second(rank.steps_per_second);
    one.set_ops_per_second(rank.ops_per_second);
    one.set_in_ops_share(rank.in_ops_share);
    one.set_bytes_per_second(rank.bytes_per_second);
    one.set_lateness_ns(rank.lateness.count());
    one.set_lateness_share(rank.lateness_share);
  }
  for (const collectives::LinkPace& link : pace.links) {
    proto::LinkPace& one = *told.add_links();
    one.set_from(link.from.value());
    one.set_to(link.to.value());
    one.set_transfers(link.transfers);
    one.set_bytes_per_second(link.bytes_per_second);
  }
  told.set_links_unknown(pace.links_unknown);
  told.set_cut(pace.is_cut);
  for (const collectives::Straggler& slow : pace.stragglers) {
    told.add_slow("rank " + slow.rank.ToString() + " " + collectives::WhatItDoes(slow));
    told.add_stragglers(slow.rank.value());
  }
  for (const collectives::SlowLink& slow : pace.slow_links)
    told.add_slow(collectives::Summary(slow));
  return told;
}

Verdict PaceVerdict(const collectives::Straggler& slow, const collectives::Pace& pace,
                    const std::vector<PacedProcess>& processes) {
  Verdict verdict;
  verdict.set_class_(Verdict::STRAGGLER);
  verdict.set_action(Verdict::REPORT);
  // Of two, which one is the usual one?
  verdict.set_confidence(slow.victims.size() > 1 ? Verdict::HIGH : Verdict::MEDIUM);
  AddCulprit(slow.rank, collectives::WhatItDoes(slow), processes, verdict);
  for (const base::Rank victim : slow.victims) verdict.add_victims(victim.value());
  verdict.set_group(slow.group_name);
  verdict.set_op(std::string(collectives::OpKindName(slow.kind)));
  verdict.set_advice(
      "see what it does more than the others (lockstep stacks), or what its machine lacks: a busy "
      "or slower processor or GPU, memory, another job");
  AddRanks(pace, verdict);
  return verdict;
}

Verdict PaceVerdict(const collectives::SlowLink& slow, const collectives::Pace& pace,
                    const std::vector<PacedProcess>& processes) {
  Verdict verdict;
  verdict.set_class_(Verdict::SLOW_LINK);
  verdict.set_action(Verdict::REPORT);
  verdict.set_confidence(Verdict::MEDIUM);
  const std::string why = collectives::Summary(slow);
  for (const base::Rank rank : collectives::RanksOf(slow))
    AddCulprit(rank, why, processes, verdict);
  verdict.set_advice(
      "look at the network between them: speed and errors of the ports, routes, "
      "other traffic");
  proto::Evidence& evidence = *verdict.add_evidence();
  evidence.set_kind(proto::Evidence::PACE);
  for (const collectives::LinkPace& link : pace.links) {
    evidence.add_lines("from rank " + link.from.ToString() + " to rank " + link.to.ToString() +
                       ": " + std::to_string(std::lround(link.bytes_per_second / 1e6)) +
                       " MB/s by " + std::to_string(link.transfers) + " transfers");
  }
  return verdict;
}

std::string PaceNotice(const Verdict& verdict) {
  if (verdict.culprits().empty()) return "";
  const auto where = [](const proto::Culprit& culprit) {
    return " (" + (culprit.host().empty() ? "" : culprit.host() + ", ") + "pid " +
           std::to_string(culprit.pid()) + ")";
  };
  const proto::Culprit& first = verdict.culprits(0);
  if (verdict.class_() == Verdict::STRAGGLER) {
    return "rank " + std::to_string(first.rank()) + where(first) + " " + first.why() +
           "; others wait for it";
  }
  std::string text = first.why();
  for (const proto::Culprit& culprit : verdict.culprits())
    text += "; rank " + std::to_string(culprit.rank()) + " is" + where(culprit);
  return text;
}

}  // namespace lockstep::launcher
