// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_TORCH_C10D_RANK_GROUPS_H_
#define LOCKSTEP_RUNTIME_TORCH_C10D_RANK_GROUPS_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "collectives/c/lockstep_collectives.h"
#include "runtime/rank/c/lockstep_rank.h"

namespace lockstep::train {

/// This process's tie to its agent, and the groups that process groups are made over. One in a
/// process: the Python module has it, and each process group holds it too. Thread-safe.
class RankGroups {
 public:
  struct GroupFreer {
    void operator()(lockstep_group* group) const { lockstep_group_free(group); }
  };
  using GroupHandle = std::unique_ptr<lockstep_group, GroupFreer>;

  /// Blocks: at most 10 s. Throws: no agent though there are several ranks, an agent that does not
  /// answer.
  static std::shared_ptr<RankGroups> Open();
  ~RankGroups();
  RankGroups(const RankGroups&) = delete;
  RankGroups& operator=(const RankGroups&) = delete;

  /// The group of `world_ranks`, in ascending order; empty: of all. The first one must be of all,
  /// for the others are made from it. Collective among its members. Blocks: until they have come,
  /// at most `timeout`, which is also that of its ops. Throws: those that never came, by rank.
  GroupHandle MakeGroup(const std::vector<int64_t>& world_ranks, std::chrono::milliseconds timeout);

 private:
  explicit RankGroups(lockstep_session* session) : session_(session) {}

  bool HoldsAll(const std::vector<int64_t>& world_ranks) const;
  GroupHandle TakeWorld(std::chrono::milliseconds timeout);
  GroupHandle MakeRest(const std::vector<int64_t>& world_ranks, std::chrono::milliseconds timeout);

  lockstep_session* const session_;
  std::mutex mutex_;
  GroupHandle world_;  // null before the first; guarded by mutex_
};

}  // namespace lockstep::train

#endif  // LOCKSTEP_RUNTIME_TORCH_C10D_RANK_GROUPS_H_
