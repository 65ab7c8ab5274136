// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/live_status.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "collectives/diagnosis/words.h"
#include "launcher/verdict/clean_text.h"

namespace lockstep::launcher {
namespace {

/// After so many windows without ops how fast it went is no news.
constexpr int64_t kPaceWindowsMax = 3;

using collectives::Evidence;
using collectives::GroupHead;
using collectives::SeenOp;
using collectives::SeenRank;

using Names = std::map<collectives::GroupKey, std::string>;

Names NamesOf(const std::vector<GroupHead>& heads) {
  Names names;
  for (const GroupHead& head : heads) names.emplace(head.key, head.name);
  return names;
}

std::string PlaceOf(const SeenOp& op, const Names& names) {
  const auto name = names.find({op.group, op.epoch});
  return CleanText(
      collectives::PlaceText(op, name != names.end() ? name->second : op.group.ToString()));
}

const SeenRank* Find(const Evidence& evidence, base::Rank rank) {
  const auto found =
      std::lower_bound(evidence.ranks.begin(), evidence.ranks.end(), rank,
                       [](const SeenRank& seen, base::Rank wanted) { return seen.rank < wanted; });
  return found != evidence.ranks.end() && found->rank == rank ? &*found : nullptr;
}

/// Who waits elsewhere does nothing else, whatever its process looks like.
std::string StateOf(const SeenRank& rank, const Names& names) {
  const SeenOp* const wait = collectives::LongestWait(rank);
  const bool is_held =
      rank.process.is_held() || rank.process.state == collectives::ProcessState::kEnded;
  if (wait != nullptr && !is_held) return "waits in " + PlaceOf(*wait, names);
  return CleanText(collectives::StandingText(rank));
}

void Tell(const GroupHead& head, const Evidence& evidence, const Names& names,
          proto::GroupStatus& group) {
  group.set_name(CleanText(head.name));
  group.set_round(head.key.epoch.value());
  group.set_size(head.size);
  group.set_state(std::string(collectives::StateName(head.state)));
  group.set_called(static_cast<int>(head.called.size()));
  group.set_awaited_count(static_cast<int>(head.awaited.size()));
  group.set_unheard_count(head.unheard);
  group.set_wait_ns(head.waited.count());
  for (const base::Rank rank : head.awaited) {
    if (group.awaited_size() == kAwaitedTold) break;
    proto::AwaitedRank& awaited = *group.add_awaited();
    awaited.set_rank(rank.value());
    const SeenRank* const seen = Find(evidence, rank);
    awaited.set_state(seen != nullptr ? StateOf(*seen, names) : "not known");
  }
  if (!head.op.has_value()) return;
  group.set_op(CleanText(collectives::CallText(*head.op)));
  group.set_seq(head.op->seq.value());
  group.set_is_transfer(head.op->is_transfer());
  group.set_call_site(CleanText(head.op->call_site));
}

void Tell(const SeenRank& seen, const Names& names, proto::RankStatus& rank) {
  rank.set_rank(seen.rank.value());
  if (seen.step >= 0) rank.set_step(seen.step);
  rank.set_phase(CleanText(seen.marked_phase));
  if (seen.samples_per_second.has_value()) rank.set_samples_per_second(*seen.samples_per_second);
  const SeenOp* const wait = collectives::LongestWait(seen);
  if (wait != nullptr) rank.set_wait_ns(wait->age.count());
  if (wait != nullptr) {
    rank.set_op(PlaceOf(*wait, names));
  } else if (!seen.ops.empty()) {
    rank.set_op(PlaceOf(seen.ops.back(), names));
  }
}

}  // namespace

proto::StatusReply LiveStatusOf(const Evidence& evidence, const std::vector<GroupHead>& heads) {
  proto::StatusReply live;
  const Names names = NamesOf(heads);
  for (const GroupHead& head : heads) {
    if (live.groups_size() == kGroupsTold) break;
    Tell(head, evidence, names, *live.add_groups());
  }
  live.set_groups_left_out(static_cast<int>(heads.size()) - live.groups_size());
  for (const SeenRank& seen : evidence.ranks) Tell(seen, names, *live.add_ranks());
  return live;
}

void AddLive(const proto::StatusReply& live, proto::StatusReply& status) {
  *status.mutable_groups() = live.groups();
  status.set_groups_left_out(live.groups_left_out());
  int next = 0;  // both are in the order of ranks
  for (proto::RankStatus& rank : *status.mutable_ranks()) {
    while (next < live.ranks_size() && live.ranks(next).rank() < rank.rank()) ++next;
    if (next == live.ranks_size() || live.ranks(next).rank() != rank.rank()) continue;
    const proto::RankStatus& told = live.ranks(next);
    // Steps are told ten times a second; the ring has the last one.
    if (told.has_step() && (!rank.has_step() || rank.step() < told.step()))
      rank.set_step(told.step());
    if (rank.has_step() && (!status.has_best_step() || status.best_step() < rank.step()))
      status.set_best_step(rank.step());
    rank.set_phase(told.phase());
    rank.set_op(told.op());
    if (told.has_wait_ns()) rank.set_wait_ns(told.wait_ns());
    if (told.has_samples_per_second()) rank.set_samples_per_second(told.samples_per_second());
  }
}

void AddPace(proto::JobPace pace, proto::StatusReply& status) {
  // Of a gang that has stood still since it tells nothing.
  if (pace.window_ns() == 0 || pace.age_ns() > kPaceWindowsMax * pace.window_ns()) return;
  int next = 0;  // both are in the order of ranks
  for (proto::RankStatus& rank : *status.mutable_ranks()) {
    while (next < pace.ranks_size() && pace.ranks(next).rank() < rank.rank()) ++next;
    if (next == pace.ranks_size()) break;
    if (pace.ranks(next).rank() == rank.rank())
      rank.mutable_pace()->Swap(pace.mutable_ranks(next++));
  }
  pace.clear_ranks();
  for (std::string& slow : *pace.mutable_slow()) slow = CleanText(slow);
  *status.mutable_pace() = std::move(pace);
}

}  // namespace lockstep::launcher
