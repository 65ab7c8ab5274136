// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/diagnosis/group_heads.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace lockstep::collectives {
namespace {

using State = GroupHead::State;
using Member = GroupView::Member;

struct OpenTransfer {
  base::Rank rank;
  const SeenOp* op = nullptr;
};

/// What of the evidence is by rank and needed by group.
struct Seats {
  std::map<GroupKey, std::string> names;       // of groups in which somebody sits
  std::map<GroupKey, OpenTransfer> transfers;  // that is waited in longest
  std::set<base::Rank> ended;
};

Seats SeatsOf(const Evidence& evidence) {
  Seats seats;
  for (const SeenRank& rank : evidence.ranks) {
    const bool has_ended = rank.process.state == ProcessState::kEnded;
    if (has_ended) seats.ended.insert(rank.rank);
    for (const SeenGroup& group : rank.groups)
      seats.names.emplace(GroupKey{group.id, group.epoch}, group.name);
    for (const SeenOp& op : rank.ops) {
      if (has_ended || !op.is_transfer() || !op.is_waited_in()) continue;
      OpenTransfer& longest = seats.transfers[{op.group, op.epoch}];
      if (longest.op == nullptr || longest.op->age < op.age) longest = {rank.rank, &op};
    }
  }
  return seats;
}

/// Who is in it, with the longest wait, or else with the longest call.
bool StandsLonger(const SeenOp& a, const SeenOp& b) {
  return std::pair(a.is_waited_in(), a.age) > std::pair(b.is_waited_in(), b.age);
}

/// The first collective that is not over for everybody, of one who is in it; null: there is none.
const SeenOp* FirstOpen(const GroupView& view, const std::set<base::Rank>& ended) {
  const SeenOp* first = nullptr;
  for (const Member& member : view.members()) {
    if (ended.contains(member.world)) continue;
    for (const auto& [seq, op] : member.ops) {
      if (!op->is_open()) continue;
      if (first == nullptr || seq < first->seq ||
          (seq == first->seq && StandsLonger(*op, *first))) {
        first = op;
      }
      break;
    }
  }
  return first;
}

const SeenOp* LastCalled(const GroupView& view) {
  const SeenOp* last = nullptr;
  for (const Member& member : view.members()) {
    if (member.ops.empty()) continue;
    const auto& [seq, op] = *member.ops.rbegin();
    if (last == nullptr || seq > last->seq || (seq == last->seq && op->age < last->age)) last = op;
  }
  return last;
}

/// Whether it may have called it, as far as its ring reaches.
bool IsHeard(const Member& member) {
  return member.heard && (member.last.has_value() || !member.overflowed);
}

void SortMembers(const GroupView& view, base::OpSeq seq, GroupHead& head) {
  for (const Member& member : view.members()) {
    if (member.last.has_value() && *member.last >= seq) {
      head.called.push_back(member.world);
    } else if (IsHeard(member)) {
      head.awaited.push_back(member.world);
    } else {
      ++head.unheard;
    }
  }
  head.unheard += view.unnamed();
}

void SortPeers(const GroupView& view, const OpenTransfer& transfer, GroupHead& head) {
  const SeenOp& op = *transfer.op;
  head.called.push_back(transfer.rank);
  const Member* const peer = view.At(op.root_or_peer);
  const Member* const self = view.Find(transfer.rank);
  if (peer == nullptr || self == nullptr || !self->place.has_value()) {
    ++head.unheard;
    return;
  }
  const auto& counterparts = op.kind == OpKind::kSend ? peer->last_recv : peer->last_send;
  const auto last = counterparts.find(self->place->value());
  if (last != counterparts.end() && last->second >= op.seq) {
    head.called.push_back(peer->world);
  } else if (peer->heard) {
    head.awaited.push_back(peer->world);
  } else {
    ++head.unheard;
  }
}

State StateOfOpen(const GroupHead& head) {
  if (!head.awaited.empty()) return State::kWaiting;
  return head.unheard > 0 ? State::kUnknown : State::kMoving;
}

GroupHead HeadOf(const GroupKey& key, const GroupView& view, const Seats& seats) {
  GroupHead head{.key = key, .size = static_cast<int>(view.members().size()) + view.unnamed()};
  const auto name = seats.names.find(key);
  head.name = name != seats.names.end() ? name->second : key.id.ToString();
  const SeenOp* const open = FirstOpen(view, seats.ended);
  const auto transfer = seats.transfers.find(key);
  // A collective that was begun in the background holds nobody up.
  if (transfer != seats.transfers.end() && (open == nullptr || !open->is_waited_in())) {
    head.op = *transfer->second.op;
    SortPeers(view, transfer->second, head);
    head.state = StateOfOpen(head);
  } else if (open != nullptr) {
    head.op = *open;
    SortMembers(view, open->seq, head);
    head.state = StateOfOpen(head);
  } else if (const SeenOp* const last = LastCalled(view); last != nullptr) {
    head.op = *last;
    SortMembers(view, last->seq, head);
    head.awaited.clear();  // nobody waits for them
    head.unheard = 0;
    head.state = State::kIdle;
  }
  if (head.op.has_value() && head.op->is_waited_in()) head.waited = head.op->age;
  std::sort(head.called.begin(), head.called.end());
  return head;
}

int OrderOf(State state) {
  switch (state) {
    case State::kWaiting:
    case State::kUnknown: return 0;
    case State::kMoving: return 1;
    case State::kIdle: return 2;
    case State::kNew: return 3;
  }
  return 3;
}

bool ComesFirst(const GroupHead& a, const GroupHead& b) {
  const int order_a = OrderOf(a.state);
  const int order_b = OrderOf(b.state);
  if (order_a != order_b) return order_a < order_b;
  if (order_a == 0 && a.waited != b.waited) return a.waited > b.waited;
  if (a.size != b.size) return a.size > b.size;
  return a.key < b.key;
}

}  // namespace

std::string_view StateName(GroupHead::State state) {
  switch (state) {
    case State::kNew: return "new";
    case State::kIdle: return "idle";
    case State::kMoving: return "moving";
    case State::kWaiting: return "waiting";
    case State::kUnknown: return "unknown";
  }
  return "unknown";
}

std::vector<GroupHead> GroupHeads(const Evidence& evidence) {
  const GroupViews views(evidence);
  const Seats seats = SeatsOf(evidence);
  std::vector<GroupHead> heads;
  for (const auto& [key, view] : views.all()) {
    GroupHead head = HeadOf(key, view, seats);
    // Records outlive their groups.
    const bool stands = head.state != State::kNew && head.state != State::kIdle;
    if (stands || seats.names.contains(key)) heads.push_back(std::move(head));
  }
  std::sort(heads.begin(), heads.end(), ComesFirst);
  return heads;
}

}  // namespace lockstep::collectives
