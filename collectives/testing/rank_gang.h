// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_TESTING_RANK_GANG_H_
#define LOCKSTEP_COLLECTIVES_TESTING_RANK_GANG_H_

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "collectives/engine/queued_group.h"
#include "collectives/testing/gang.h"
#include "runtime/base/check.h"

namespace lockstep::collectives::testing {

/// One rank of several processes that all run the same tests in the same order, started by somebody
/// else (an mpirun). Confined to the test's thread.
class RankGang final : public Gang {
 public:
  RankGang(int rank, int size, std::shared_ptr<BackendMaker> maker)
      : rank_(rank), size_(size), maker_(std::move(maker)) {}

  void Run(const std::function<void(Group&)>& body) override {
    const auto group = Join("test");
    body(*group);
    Meet();  // else who is done first would tell the others that it left
  }

  /// Returns once all ranks have called it.
  void Meet() { Join("meeting"); }

 private:
  std::unique_ptr<QueuedGroup> Join(const std::string& name) {
    QueuedGroup::Config config;
    config.spec = {.job = "test",
                   .host = "here",
                   .name = name,
                   .instance = ++count_,
                   .rank = base::GroupRank(rank_)};
    for (int rank = 0; rank < size_; ++rank) config.spec.world_ranks.emplace_back(rank);
    config.timeout = config.join_timeout = std::chrono::seconds(60);
    auto group = QueuedGroup::Create(std::move(config), maker_);
    LOCKSTEP_CHECK(group.ok(), group.status().ToString().c_str());
    return std::move(group).value();
  }

  const int rank_;
  const int size_;
  const std::shared_ptr<BackendMaker> maker_;
  uint32_t count_ = 0;
};

}  // namespace lockstep::collectives::testing

#endif  // LOCKSTEP_COLLECTIVES_TESTING_RANK_GANG_H_
