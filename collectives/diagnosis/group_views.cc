// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/diagnosis/group_views.h"

#include <algorithm>
#include <utility>

namespace lockstep::collectives {

const GroupView::Member* GroupView::Find(base::Rank world) const {
  const auto place = std::lower_bound(members_.begin(), members_.end(), world,
                                      [](const Member& a, base::Rank b) { return a.world < b; });
  return place != members_.end() && place->world == world ? &*place : nullptr;
}

const GroupView::Member* GroupView::At(int place) const {
  const auto found = by_place_.find(place);
  return found != by_place_.end() ? &members_[found->second] : nullptr;
}

GroupViews::GroupViews(const Evidence& evidence) {
  for (const SeenRank& rank : evidence.ranks) AddNamed(rank);
  for (const SeenRank& rank : evidence.ranks) AddOps(rank);
  std::map<base::Rank, const SeenRank*> ranks;
  for (const SeenRank& rank : evidence.ranks) ranks.emplace(rank.rank, &rank);
  for (auto& [_, view] : all_) Complete(view, evidence, ranks);
}

const GroupView* GroupViews::Find(const GroupKey& key) const {
  const auto found = all_.find(key);
  return found != all_.end() ? &found->second : nullptr;
}

GroupView::Member& GroupViews::MemberOf(GroupView& view, base::Rank world) {
  const auto place =
      std::lower_bound(view.members_.begin(), view.members_.end(), world,
                       [](const GroupView::Member& a, base::Rank b) { return a.world < b; });
  if (place != view.members_.end() && place->world == world) return *place;
  GroupView::Member member;
  member.world = world;
  return *view.members_.insert(place, std::move(member));
}

/// All at once: one by one each would move those behind it.
void GroupViews::AddMembers(GroupView& view, std::vector<base::Rank> worlds) {
  std::sort(worlds.begin(), worlds.end());
  worlds.erase(std::unique(worlds.begin(), worlds.end()), worlds.end());
  std::erase_if(worlds, [&](base::Rank world) { return view.Find(world) != nullptr; });
  if (worlds.empty()) return;
  for (const base::Rank world : worlds) view.members_.emplace_back().world = world;
  std::sort(view.members_.begin(), view.members_.end(),
            [](const auto& a, const auto& b) { return a.world < b.world; });
}

void GroupViews::AddNamed(const SeenRank& rank) {
  for (const SeenGroup& group : rank.groups) {
    GroupView& view = all_[{group.id, group.epoch}];
    view.size_ = std::max(view.size_, group.size);
    const auto own_place = static_cast<size_t>(group.rank.value());
    const bool is_in = own_place < group.members.size() && group.members[own_place] == rank.rank;
    // Nearly always all members name the same ones, which is then nothing new.
    if (is_in && view.named_ != nullptr && *view.named_ == group.members) continue;
    MemberOf(view, rank.rank).place = group.rank;
    AddMembers(view, {group.members.begin(), group.members.end()});
    for (size_t place = 0; place < group.members.size(); ++place)
      MemberOf(view, group.members[place]).place = base::GroupRank(static_cast<int>(place));
    view.named_ = group.members.empty() ? nullptr : &group.members;
  }
}

void GroupViews::AddOps(const SeenRank& rank) {
  for (const SeenOp& op : rank.ops) {
    GroupView::Member& member = MemberOf(all_[{op.group, op.epoch}], rank.rank);
    if (op.kind == OpKind::kSend) {
      base::OpSeq& last = member.last_send[op.root_or_peer];
      last = std::max(last, op.seq);
    } else if (op.kind == OpKind::kRecv) {
      base::OpSeq& last = member.last_recv[op.root_or_peer];
      last = std::max(last, op.seq);
    } else {
      member.ops[op.seq] = &op;
      member.last = std::max(member.last.value_or(op.seq), op.seq);
    }
  }
}

void GroupViews::Complete(GroupView& view, const Evidence& evidence,
                          const std::map<base::Rank, const SeenRank*>& ranks) {
  view.size_ = std::max(view.size_, static_cast<int>(view.members_.size()));
  // A group of as many as the job has: everybody.
  const auto known = static_cast<int>(evidence.ranks.size());
  const int world = std::max(evidence.world_size, known);
  const bool is_named = view.size_ == static_cast<int>(view.members_.size());
  if (!is_named && view.size_ == world) {
    std::vector<base::Rank> everybody;
    if (world > known) {
      for (int rank = 0; rank < world; ++rank) everybody.emplace_back(rank);
    } else {
      for (const SeenRank& rank : evidence.ranks) everybody.push_back(rank.rank);
    }
    AddMembers(view, std::move(everybody));
  }
  view.unnamed_ = view.size_ - static_cast<int>(view.members_.size());
  for (size_t i = 0; i < view.members_.size(); ++i) {
    GroupView::Member& member = view.members_[i];
    if (member.place.has_value()) view.by_place_.emplace(member.place->value(), i);
    const auto seen = ranks.find(member.world);
    member.heard = seen != ranks.end() && seen->second->ring_read;
    member.overflowed = member.heard && seen->second->ring_overflowed;
  }
  if (view.unnamed_ == 0) return;
  for (const SeenRank& rank : evidence.ranks) {
    // Who has a ring and names no such group has not come to it yet, or its ring has lost it.
    const bool unknown = !rank.ring_read || rank.ring_overflowed || rank.groups.empty();
    if (unknown && view.Find(rank.rank) == nullptr) view.maybe_members_.push_back(rank.rank);
  }
  if (!view.maybe_members_.empty()) return;
  // Nobody said who they are (NCCL does not tell): whoever is none yet may be.
  for (const SeenRank& rank : evidence.ranks) {
    if (view.Find(rank.rank) == nullptr) view.maybe_members_.push_back(rank.rank);
  }
}

}  // namespace lockstep::collectives
