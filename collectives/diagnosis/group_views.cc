// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/diagnosis/group_views.h"

#include <algorithm>

namespace lockstep::collectives {

const GroupView::Member* GroupView::Find(base::Rank world) const {
  const auto place = std::lower_bound(members_.begin(), members_.end(), world,
                                      [](const Member& a, base::Rank b) { return a.world < b; });
  return place != members_.end() && place->world == world ? &*place : nullptr;
}

const GroupView::Member* GroupView::At(int place) const {
  const auto found = std::find_if(members_.begin(), members_.end(), [&](const Member& member) {
    return member.place.has_value() && member.place->value() == place;
  });
  return found != members_.end() ? &*found : nullptr;
}

GroupViews::GroupViews(const Evidence& evidence) {
  for (const SeenRank& rank : evidence.ranks) AddNamed(rank);
  for (const SeenRank& rank : evidence.ranks) AddOps(rank);
  for (auto& [_, view] : all_) Complete(view, evidence);
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

void GroupViews::AddNamed(const SeenRank& rank) {
  for (const SeenGroup& group : rank.groups) {
    GroupView& view = all_[{group.id, group.epoch}];
    view.size_ = std::max(view.size_, group.size);
    MemberOf(view, rank.rank).place = group.rank;
    for (size_t place = 0; place < group.members.size(); ++place)
      MemberOf(view, group.members[place]).place = base::GroupRank(static_cast<int>(place));
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

void GroupViews::Complete(GroupView& view, const Evidence& evidence) {
  view.size_ = std::max(view.size_, static_cast<int>(view.members_.size()));
  const auto find = [&](base::Rank rank) {
    return std::find_if(evidence.ranks.begin(), evidence.ranks.end(),
                        [&](const SeenRank& seen) { return seen.rank == rank; });
  };
  // A group of as many as the job has: everybody.
  const auto known = static_cast<int>(evidence.ranks.size());
  const bool is_named = view.size_ == static_cast<int>(view.members_.size());
  if (!is_named && evidence.world_size > known && view.size_ == evidence.world_size) {
    for (int rank = 0; rank < evidence.world_size; ++rank) MemberOf(view, base::Rank(rank));
  } else if (!is_named && evidence.world_size <= known && view.size_ == known) {
    for (const SeenRank& rank : evidence.ranks) MemberOf(view, rank.rank);
  }
  view.unnamed_ = view.size_ - static_cast<int>(view.members_.size());
  for (GroupView::Member& member : view.members_) {
    const auto seen = find(member.world);
    member.heard = seen != evidence.ranks.end() && seen->ring_read;
    member.overflowed = member.heard && seen->ring_overflowed;
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
