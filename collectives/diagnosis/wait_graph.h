// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_DIAGNOSIS_WAIT_GRAPH_H_
#define LOCKSTEP_COLLECTIVES_DIAGNOSIS_WAIT_GRAPH_H_

#include <list>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "collectives/diagnosis/evidence.h"
#include "collectives/diagnosis/group_views.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"

namespace lockstep::collectives {

/// For whom those wait that wait in one op of a group.
struct Awaited {
  std::vector<base::Rank> missing;  // members that have not called it
  std::vector<base::Rank> unheard;  // members that may not have: too little is known of them
  std::vector<base::Rank> called;   // members that have, who wait there among them
  std::set<base::Rank> callers;     // those of a collective's called who wait there
  base::Duration longest{0};        // of the waits
  bool was_told = false;            // one of them ended with the error that a member is gone

  /// Whether somebody else than `rank` waits in it.
  bool HoldsOthersThan(base::Rank rank) const {
    return callers.size() > 1 || !callers.contains(rank);
  }
};

/// An op in which a rank's caller waits, or a stream of its GPU, and for whom.
struct Wait {
  base::Rank waiter;
  const SeenOp* op = nullptr;
  const Awaited* awaited = nullptr;  // the graph's; of a collective one for all its waiters

  /// All have come: what is missing are bytes.
  bool is_complete() const { return awaited->missing.empty() && awaited->unheard.empty(); }
};

/// Who waits for whom, over all groups. A rank whose caller waits in an op comes to no other one;
/// that it has begun ops in the background does not hold it. Of one whose stream waits that is
/// likely, and not sure. Borrows the evidence; near linear in it. Confined to its maker.
class WaitGraph {
 public:
  struct Options {
    base::Duration least{0};   // shorter waits are none: rings are not read in one instant
    bool errors_count = true;  // ops that ended with an error are waits still, however short
  };
  WaitGraph(const Evidence& evidence, const GroupViews& groups, const Options& options);

  WaitGraph(const WaitGraph&) = delete;
  WaitGraph& operator=(const WaitGraph&) = delete;

  const std::vector<Wait>& waits() const { return waits_; }
  /// Those of all waits, each once.
  const std::list<Awaited>& awaited() const { return awaited_; }
  bool Waits(base::Rank rank) const { return by_rank_.contains(rank); }
  /// Of ranks that wait for each other in a circle: the waits, each for the waiter of the next.
  /// Empty: there is none.
  std::vector<const Wait*> Cycle() const;
  struct Freedom {
    base::Duration waited{0};  // for it, by the one who has waited longest
    bool was_told = false;     // somebody that a member is gone of an op to which it has not come
  };
  /// Ranks that do not wait and for which others do.
  std::map<base::Rank, Freedom> AwaitedAndFree() const;

 private:
  void Add(const SeenRank& rank, const GroupViews& groups, const Options& options);
  /// For whom members of the group wait in its collective.
  Awaited& AwaitedIn(const SeenOp& op, const GroupView& group);
  Awaited& AwaitedInTransfer(const SeenOp& op, base::Rank waiter, const GroupView& group);

  std::vector<Wait> waits_;
  std::list<Awaited> awaited_;
  std::map<std::pair<const GroupView*, base::OpSeq>, Awaited*> by_op_;  // into awaited_
  std::map<base::Rank, std::vector<size_t>> by_rank_;                   // into waits_
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_DIAGNOSIS_WAIT_GRAPH_H_
