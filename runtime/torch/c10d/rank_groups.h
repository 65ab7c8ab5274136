// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_TORCH_C10D_RANK_GROUPS_H_
#define LOCKSTEP_RUNTIME_TORCH_C10D_RANK_GROUPS_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
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

  /// The group of all ranks that are left, in a job that keeps its survivors; groups that come
  /// after are made from it. Collective among them. Blocks: until they have come, at most
  /// `timeout`, which is also that of its ops. Throws: as lockstep_shrink_to_survivors; there is no
  /// process group yet.
  GroupHandle ShrinkToSurvivors(std::chrono::milliseconds timeout);

  /// Without whom the job goes on, by rank in the world, with what became of them.
  std::vector<std::pair<int, std::string>> LostRanks() const;

 private:
  explicit RankGroups(lockstep_session* session) : session_(session) {}

  bool HoldsAll(const std::vector<int64_t>& world_ranks) const;
  GroupHandle TakeWorld(std::chrono::milliseconds timeout);
  GroupHandle MakeSubset(const std::vector<int64_t>& world_ranks,
                         std::chrono::milliseconds timeout);

  lockstep_session* const session_;
  std::mutex mutex_;
  GroupHandle world_;  // null before the first; guarded by mutex_
};

}  // namespace lockstep::train

#endif  // LOCKSTEP_RUNTIME_TORCH_C10D_RANK_GROUPS_H_
