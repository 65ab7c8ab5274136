// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/diagnosis/wait_graph.h"

#include <algorithm>
#include <set>
#include <utility>

namespace lockstep::collectives {
namespace {

/// It has been waited in, and whoever was missing still tells why, whatever its caller did then.
/// One that was aborted was ended by its caller.
bool WasLeftAlone(const SeenOp& op) {
  return op.has_failed() && op.state != LOCKSTEP_RECORD_ABORTED;
}

/// Ops of a group end in their order: it stands in the first that has not.
const SeenOp& FirstOpen(const SeenOp& op, const GroupView::Member& self) {
  for (const auto& [seq, earlier] : self.ops) {
    if (seq >= op.seq) break;
    if (earlier->is_open()) return *earlier;
  }
  return op;
}

}  // namespace

WaitGraph::WaitGraph(const Evidence& evidence, const GroupViews& groups, const Options& options) {
  for (const SeenRank& rank : evidence.ranks) Add(rank, groups, options);
}

void WaitGraph::Add(const SeenRank& rank, const GroupViews& groups, const Options& options) {
  const bool lives = rank.process.state != ProcessState::kEnded;
  std::set<const SeenOp*> held;
  for (const SeenOp& op : rank.ops) {
    const bool was_left = options.errors_count && WasLeftAlone(op);
    if (!was_left && !(lives && op.is_waited_in())) continue;
    const GroupView* const group = groups.Find({op.group, op.epoch});
    const SeenOp& stands_in = op.is_transfer() ? op : FirstOpen(op, *group->Find(rank.rank));
    const bool is_wait = was_left || stands_in.age >= options.least;
    if (!is_wait || !held.insert(&stands_in).second) continue;
    by_rank_[rank.rank].push_back(waits_.size());
    Awaited& awaited = stands_in.is_transfer() ? AwaitedInTransfer(stands_in, rank.rank, *group)
                                               : AwaitedIn(stands_in, *group);
    if (!stands_in.is_transfer()) awaited.callers.insert(rank.rank);
    awaited.longest = std::max(awaited.longest, stands_in.age);
    awaited.was_told |= was_left && stands_in.state == LOCKSTEP_RECORD_REMOTE_ERROR;
    waits_.push_back({.waiter = rank.rank, .op = &stands_in, .awaited = &awaited});
  }
}

Awaited& WaitGraph::AwaitedIn(const SeenOp& op, const GroupView& group) {
  Awaited*& known = by_op_[{&group, op.seq}];
  if (known != nullptr) return *known;
  Awaited& awaited = awaited_.emplace_back();
  known = &awaited;
  for (const GroupView::Member& member : group.members()) {
    if (member.last.has_value() && *member.last >= op.seq) {
      awaited.called.push_back(member.world);
    } else {
      (member.heard ? awaited.missing : awaited.unheard).push_back(member.world);
    }
  }
  if (group.unnamed() > 0) {
    awaited.unheard.insert(awaited.unheard.end(), group.maybe_members().begin(),
                           group.maybe_members().end());
  }
  return awaited;
}

Awaited& WaitGraph::AwaitedInTransfer(const SeenOp& op, base::Rank waiter, const GroupView& group) {
  Awaited& awaited = awaited_.emplace_back();
  const GroupView::Member* const peer = group.At(op.root_or_peer);
  const GroupView::Member* const self = group.Find(waiter);
  if (peer == nullptr || self == nullptr || !self->place.has_value()) {
    if (peer != nullptr) awaited.unheard.push_back(peer->world);
    return awaited;
  }
  const auto& counterparts = op.kind == OpKind::kSend ? peer->last_recv : peer->last_send;
  const auto last = counterparts.find(self->place->value());
  if (last != counterparts.end() && last->second >= op.seq) {
    awaited.called.push_back(peer->world);
  } else {
    (peer->heard ? awaited.missing : awaited.unheard).push_back(peer->world);
  }
  return awaited;
}

std::map<base::Rank, WaitGraph::Freedom> WaitGraph::AwaitedAndFree() const {
  std::map<base::Rank, Freedom> free;
  for (const Awaited& awaited : awaited_) {
    for (const base::Rank rank : awaited.missing) {
      if (Waits(rank)) continue;
      Freedom& freedom = free[rank];
      freedom.waited = std::max(freedom.waited, awaited.longest);
      freedom.was_told |= awaited.was_told;
    }
  }
  return free;
}

// Depth first; a rank that waits for several needs all of them, so that any circle is one for good.
std::vector<const Wait*> WaitGraph::Cycle() const {
  enum class Mark : uint8_t { kNew, kOnPath, kDone };
  struct Step {
    base::Rank rank;
    size_t wait = 0, missing = 0;  // the next to look at
  };
  std::map<base::Rank, Mark> marks;
  std::set<const Awaited*> done;  // nobody who is missing there is part of a circle
  for (const auto& [start, _] : by_rank_) {
    if (marks[start] != Mark::kNew) continue;
    std::vector<Step> path{{start}};
    marks[start] = Mark::kOnPath;
    while (!path.empty()) {
      Step& step = path.back();
      const std::vector<size_t>& waits = by_rank_.at(step.rank);
      if (step.wait == waits.size()) {
        marks[step.rank] = Mark::kDone;
        path.pop_back();
        continue;
      }
      const Awaited* const awaited = waits_[waits[step.wait]].awaited;
      if (step.missing == awaited->missing.size() || done.contains(awaited)) {
        done.insert(awaited);
        ++step.wait;
        step.missing = 0;
        continue;
      }
      const base::Rank next = awaited->missing[step.missing++];
      if (!Waits(next) || marks[next] == Mark::kDone) continue;
      if (marks[next] == Mark::kNew) {
        marks[next] = Mark::kOnPath;
        path.push_back({next});
        continue;
      }
      std::vector<const Wait*> cycle;
      const auto first = std::find_if(path.begin(), path.end(),
                                      [&](const Step& on_path) { return on_path.rank == next; });
      for (auto on_path = first; on_path != path.end(); ++on_path)
        cycle.push_back(&waits_[by_rank_.at(on_path->rank)[on_path->wait]]);
      return cycle;
    }
  }
  return {};
}

}  // namespace lockstep::collectives
