// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_TESTING_THREAD_GANG_H_
#define LOCKSTEP_COLLECTIVES_TESTING_THREAD_GANG_H_

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "collectives/engine/queued_group.h"
#include "collectives/host/shm/local_segments.h"
#include "collectives/host/shm/shm_backend_maker.h"
#include "collectives/testing/gang.h"
#include "runtime/base/check.h"

namespace lockstep::collectives::testing {

/// Runs ranks as threads of this process, each with its member of one group: over shared memory
/// that all of them see, or over `maker`'s backend. Confined to the test's thread.
///
///   ThreadGang(4).Run([](Group& group) { ASSERT_OK(group.Barrier()->Wait()); });
class ThreadGang final : public Gang {
 public:
  explicit ThreadGang(int size, std::shared_ptr<BackendMaker> maker = InSharedMemory())
      : ThreadGang(RanksBelow(size), std::move(maker)) {}
  /// A part of a larger world.
  explicit ThreadGang(std::vector<base::Rank> world_ranks,
                      std::shared_ptr<BackendMaker> maker = InSharedMemory())
      : size_(static_cast<int>(world_ranks.size())),
        attempts_(world_ranks.size()),
        world_ranks_(std::move(world_ranks)),
        maker_(std::move(maker)) {}

  static std::shared_ptr<BackendMaker> InSharedMemory() {
    return std::make_shared<ShmBackendMaker>(std::make_shared<LocalSegments>());
  }

  base::Duration timeout = std::chrono::seconds(60);
  base::Duration join_timeout = std::chrono::seconds(60);
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

  /// From that rank's thread. Each member's attempts are counted, as a session counts them.
  base::Result<std::unique_ptr<QueuedGroup>> Join(int rank) {
    return QueuedGroup::Create(ConfigFor(rank, ++attempts_[static_cast<size_t>(rank)]), maker_);
  }

  /// `body` on every rank's thread, with its member; the members end when all bodies have (else a
  /// body that is done first would tell the others that it left).
  void Run(const std::function<void(Group&)>& body) override {
    std::vector<std::unique_ptr<QueuedGroup>> members(static_cast<size_t>(size_));
    std::vector<std::thread> threads;
    for (int rank = 0; rank < size_; ++rank) {
      threads.emplace_back([this, rank, &members, &body] {
        auto group = Join(rank);
        LOCKSTEP_CHECK(group.ok(), "the gang forms");
        members[static_cast<size_t>(rank)] = std::move(group).value();
        body(*members[static_cast<size_t>(rank)]);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }

 private:
  static std::vector<base::Rank> RanksBelow(int size) {
    std::vector<base::Rank> ranks;
    for (int rank = 0; rank < size; ++rank) ranks.emplace_back(rank);
    return ranks;
  }

  const int size_;
  std::vector<uint32_t> attempts_;       // by group rank; each its own thread's
  std::vector<base::Rank> world_ranks_;  // by group rank
  const std::shared_ptr<BackendMaker> maker_;
};

}  // namespace lockstep::collectives::testing

#endif  // LOCKSTEP_COLLECTIVES_TESTING_THREAD_GANG_H_
