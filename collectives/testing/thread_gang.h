// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_TESTING_THREAD_GANG_H_
#define LOCKSTEP_COLLECTIVES_TESTING_THREAD_GANG_H_

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "collectives/engine/queued_group.h"
#include "collectives/host/shm/local_segments.h"
#include "collectives/host/shm/shm_backend_maker.h"
#include "collectives/testing/gang.h"
#include "runtime/base/result.h"

namespace lockstep::collectives::testing {

/// Runs ranks as threads of this process, each with its member of one group: over shared memory
/// that all of them see, or over `maker`'s backend. Confined to the test's thread.
///
///   ThreadGang(4).Run([](Group& group) { ASSERT_OK(group.Barrier()->Wait()); });
class ThreadGang final : public MemberGang {
 public:
  explicit ThreadGang(int size, std::shared_ptr<BackendMaker> maker = InSharedMemory())
      : ThreadGang(RanksBelow(size), std::move(maker)) {}
  /// A part of a larger world.
  explicit ThreadGang(std::vector<base::Rank> world_ranks,
                      std::shared_ptr<BackendMaker> maker = InSharedMemory())
      : MemberGang(static_cast<int>(world_ranks.size())),
        attempts_(world_ranks.size()),
        world_ranks_(std::move(world_ranks)),
        maker_(std::move(maker)) {}

  static std::shared_ptr<BackendMaker> InSharedMemory() {
    return std::make_shared<ShmBackendMaker>(std::make_shared<LocalSegments>());
  }

  base::Round epoch;

  QueuedGroup::Config ConfigFor(int rank, uint32_t instance = 1) const {
    QueuedGroup::Config config;
    config.spec = {.job = "test",
                   .host = "here",
                   .instance = instance,
                   .epoch = epoch,
                   .rank = base::GroupRank(rank),
                   .world_ranks = world_ranks_};
    config.timeout = timeout;
    config.join_timeout = join_timeout;
    return config;
  }

  base::Result<std::unique_ptr<Group>> Join(int rank) override {
    return Make(ConfigFor(rank, ++attempts_[static_cast<size_t>(rank)]));
  }
  base::Result<std::unique_ptr<Group>> JoinOneTooLarge(int rank) override {
    QueuedGroup::Config config = ConfigFor(rank);
    config.spec.world_ranks.emplace_back(config.spec.world_ranks.back().value() + 1);
    return Make(std::move(config));
  }

 private:
  static std::vector<base::Rank> RanksBelow(int size) {
    std::vector<base::Rank> ranks;
    for (int rank = 0; rank < size; ++rank) ranks.emplace_back(rank);
    return ranks;
  }

  base::Result<std::unique_ptr<Group>> Make(QueuedGroup::Config config) const {
    ASSIGN_OR_RETURN(auto group, QueuedGroup::Create(std::move(config), maker_));
    return std::unique_ptr<Group>(std::move(group));
  }

  std::vector<uint32_t> attempts_;       // by group rank; each its own thread's
  std::vector<base::Rank> world_ranks_;  // by group rank
  const std::shared_ptr<BackendMaker> maker_;
};

}  // namespace lockstep::collectives::testing

#endif  // LOCKSTEP_COLLECTIVES_TESTING_THREAD_GANG_H_
