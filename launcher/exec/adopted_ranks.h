// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_EXEC_ADOPTED_RANKS_H_
#define LOCKSTEP_LAUNCHER_EXEC_ADOPTED_RANKS_H_

#include <cstdint>
#include <map>
#include <string>

#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/base/status.h"
#include "runtime/proto/adoption.pb.h"

namespace lockstep::launcher {

/// Which ranks of one job have come to its agent on this node, and which of them have ended. The
/// first one's word fixes the world; the others must agree. A value; pure.
///
///   awaited --Add()--> alive --End()--> ended
class AdoptedRanks {
 public:
  struct Rank {
    base::LocalRank local_rank;
    int64_t pid = 0;
    bool ended = false;
    base::SteadyTime ended_at{};
  };

  /// `first` is not added by this, and may be nonsense: then Check() refuses it.
  explicit AdoptedRanks(const proto::AdoptRequest& first) : world_(first) {}

  /// Whether the rank may be added. Errors: InvalidArgument - its numbers contradict each other or
  /// the world; AlreadyExists - it, or another one at its local rank, has come before.
  base::Status Check(const proto::AdoptRequest& request) const;
  /// It has come; Check() has said OK.
  void Add(const proto::AdoptRequest& request);
  void End(base::Rank rank, base::SteadyTime now);

  /// None of those that have come lives.
  bool NobodyLives() const;
  /// All that belong on this node have come and ended.
  bool IsOver() const { return AwaitedCount() == 0 && NobodyLives(); }
  bool HasCome(base::Rank rank) const { return ranks_.contains(rank); }

  const std::map<base::Rank, Rank>& ranks() const { return ranks_; }
  int world_size() const { return world_.world_size(); }
  /// Of those that belong on this node.
  int AwaitedCount() const { return world_.local_world_size() - static_cast<int>(ranks_.size()); }
  const std::string& launcher() const { return world_.launcher(); }

 private:
  base::Status CheckWorld(const proto::AdoptRequest& request) const;
  base::Status CheckPlaceIsFree(const proto::AdoptRequest& request) const;

  proto::AdoptRequest world_;  // of the first one
  std::map<base::Rank, Rank> ranks_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_EXEC_ADOPTED_RANKS_H_
