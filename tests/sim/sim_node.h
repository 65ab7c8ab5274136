// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_TESTS_SIM_SIM_NODE_H_
#define LOCKSTEP_TESTS_SIM_SIM_NODE_H_

#include <memory>
#include <set>
#include <vector>

#include "launcher/agent/rank_processes.h"
#include "runtime/process/sim_processes.h"
#include "tests/sim/host_loop.h"
#include "tests/sim/world.h"

namespace lockstep::sim {

/// What one agent has around its ranks: pretended processes, real RankProcesses. Owned by the
/// agent.
///
///   made --Open()--> open --Close(): whatever lives dies with its agent--> closed
class SimNode final : public launcher::RankHooks {
 public:
  /// `loop`: the agent's.
  SimNode(World& world, HostLoop& loop, base::NodeIndex node, uint64_t seed)
      : world_(world), loop_(loop), node_(node), processes_(world.loop, loop, seed) {}

  void Open(launcher::NodeNews& news) {
    ranks_ = std::make_unique<launcher::RankProcesses>(
        launcher::RankProcesses::Deps{loop_, processes_, *this, news});
    news_ = &news;
  }
  void Close();
  launcher::NodeRanks& ranks() { return *ranks_; }
  /// Processes that live, but for those that nothing kills.
  int LivingCount() const { return processes_.KillableCount(); }

  base::Status BeginRound(base::Round round, int restart_count) override;
  base::Result<launcher::PreparedSpawn> Prepare(const elastic::RankProcess& process) override;
  void OnRankSpawned(const elastic::RankProcess& process, pid_t pid) override;
  void OnRankSpawnFailed(const elastic::RankProcess&, const base::Status&) override {}
  launcher::RankEnd OnRankExited(const elastic::RankProcess& process, pid_t pid,
                                 const process::Exit& exit) override;
  void OnRanksSignalled(int signal, bool whole_tree,
                        const std::vector<elastic::RankProcess>& processes) override;
  void OnStopRequested(base::Duration) override {}
  void OnRoundGone() override { steps_.clear(); }
  void OnSurvivorsGoOn(base::Round, const std::vector<elastic::GoneRank>&) override {}

 private:
  World& world_;
  HostLoop& loop_;
  const base::NodeIndex node_;
  process::SimProcesses processes_;
  std::unique_ptr<launcher::RankProcesses> ranks_;
  launcher::NodeNews* news_ = nullptr;  // of ranks_
  std::vector<event::Registration> steps_;
};

}  // namespace lockstep::sim

#endif  // LOCKSTEP_TESTS_SIM_SIM_NODE_H_
