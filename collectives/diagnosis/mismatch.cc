// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/diagnosis/mismatch.h"

#include <algorithm>
#include <map>
#include <utility>

#include "collectives/engine/sides.h"

namespace lockstep::collectives {
namespace {

struct Difference {
  const GroupView* group = nullptr;
  std::vector<const GroupView::Member*> callers;
  std::vector<const SeenOp*> ops;  // of the callers
  base::Duration age{0};           // since the first call of it
};

bool SameCall(const SeenOp& a, const SeenOp& b) {
  return a.kind == b.kind && a.name == b.name && a.dtype == b.dtype && a.reduction == b.reduction &&
         a.root_or_peer == b.root_or_peer && a.count == b.count;
}

std::optional<Difference> FirstDifference(const GroupView& group, bool errors_count) {
  std::map<base::OpSeq, Difference> by_seq;
  for (const GroupView::Member& member : group.members()) {
    for (const auto& [seq, op] : member.ops) {
      Difference& at = by_seq[seq];
      at.callers.push_back(&member);
      at.ops.push_back(op);
      at.age = std::max(at.age, op->age);
    }
  }
  for (auto& [_, at] : by_seq) {
    at.group = &group;
    const auto differs = [&](const SeenOp* op) {
      return op->fingerprint != at.ops.front()->fingerprint;
    };
    const auto has_failed = [](const SeenOp* op) { return op->has_failed(); };
    if (!errors_count && std::all_of(at.ops.begin(), at.ops.end(), has_failed)) continue;
    if (std::any_of(at.ops.begin(), at.ops.end(), differs)) return std::move(at);
  }
  return std::nullopt;
}

/// Whether one of them is a call further than the other: what it called here is what the others
/// call next, or the other way round. Not where both call the same next: they are in step.
bool IsShifted(const GroupView::Member& a, const GroupView::Member& b, base::OpSeq seq) {
  const base::OpSeq next(seq.value() + 1);
  const auto after_a = a.ops.find(next), after_b = b.ops.find(next);
  if (after_a != a.ops.end() && after_b != b.ops.end() &&
      SameCall(*after_a->second, *after_b->second))
    return false;
  return (after_a != a.ops.end() && SameCall(*after_a->second, *b.ops.at(seq))) ||
         (after_b != b.ops.end() && SameCall(*after_b->second, *a.ops.at(seq)));
}

Finding::Field FieldOf(const GroupView::Member& most, const GroupView::Member& other,
                       base::OpSeq seq) {
  const SeenOp& a = *most.ops.at(seq);
  const SeenOp& b = *other.ops.at(seq);
  if (IsShifted(most, other, seq)) return Finding::Field::kOrder;
  if (a.kind != b.kind || a.name != b.name) return Finding::Field::kOp;
  if (a.dtype != b.dtype) return Finding::Field::kDtype;
  if (a.reduction != b.reduction) return Finding::Field::kReduction;
  if (a.root_or_peer != b.root_or_peer) return Finding::Field::kRoot;
  return Finding::Field::kCount;
}

}  // namespace

std::optional<Finding> FindMismatch(const GroupViews& groups, bool errors_count) {
  std::optional<Difference> first;
  for (const auto& [_, group] : groups.all()) {
    std::optional<Difference> difference = FirstDifference(group, errors_count);
    if (difference.has_value() && (!first.has_value() || difference->age > first->age))
      first = std::move(difference);
  }
  if (!first.has_value()) return std::nullopt;
  std::vector<uint64_t> keys;
  for (const SeenOp* op : first->ops) keys.push_back(op->fingerprint);
  const Sides sides(keys);
  const auto caller = [&](int index) { return first->callers[static_cast<size_t>(index)]; };
  const auto op = [&](int index) { return first->ops[static_cast<size_t>(index)]; };
  const int most = sides.all()[0].front(), other = sides.all()[1].front();
  Finding finding{.verdict_class = Finding::Class::kMismatch, .is_provable = true};
  for (const int index : sides.Blamed()) finding.culprits.push_back({caller(index)->world});
  std::sort(finding.culprits.begin(), finding.culprits.end(),
            [](const auto& a, const auto& b) { return a.rank < b.rank; });
  finding.op = *op(most);
  finding.other_op = *op(other);
  finding.field = FieldOf(*caller(most), *caller(other), op(most)->seq);
  finding.is_tie = !sides.has_majority();
  finding.waited = first->age;
  // Those of whom nothing is known may be on either side.
  size_t unknown = static_cast<size_t>(first->group->unnamed());
  for (const GroupView::Member& member : first->group->members()) {
    if (member.heard || member.ops.contains(op(most)->seq)) continue;
    finding.unheard.push_back(member.world);
    ++unknown;
  }
  const bool could_turn = sides.all()[1].size() + unknown >= sides.all()[0].size();
  finding.confidence = finding.is_tie || (unknown > 0 && could_turn) ? Finding::Confidence::kMedium
                                                                     : Finding::Confidence::kHigh;
  return finding;
}

}  // namespace lockstep::collectives
