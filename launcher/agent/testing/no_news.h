// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_TESTING_NO_NEWS_H_
#define LOCKSTEP_LAUNCHER_AGENT_TESTING_NO_NEWS_H_

#include <cstdint>

#include "launcher/agent/node_ranks.h"

namespace lockstep::launcher::testing {

/// Who is told of ranks, and does nothing about it.
class NoNews final : public NodeNews {
 public:
  void OnSpawned(const elastic::RankProcess&, pid_t) override {}
  void OnSpawnFailed(const elastic::RankProcess&, const base::Status&) override {}
  void OnExited(const elastic::RankProcess&, RankEnd) override {}
  void OnGone(const elastic::RankProcess&) override {}
  void OnUnkillable(const elastic::RankProcess&, const base::Status&) override {}
  void OnProgress(const elastic::RankProcess&, int64_t) override {}
  void OnAccused(const elastic::RankProcess&, const elastic::GoneRank&) override {}
};

}  // namespace lockstep::launcher::testing

#endif  // LOCKSTEP_LAUNCHER_AGENT_TESTING_NO_NEWS_H_
