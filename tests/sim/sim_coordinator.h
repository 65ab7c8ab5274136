// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_TESTS_SIM_SIM_COORDINATOR_H_
#define LOCKSTEP_TESTS_SIM_SIM_COORDINATOR_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "launcher/agent/gang_driver.h"
#include "launcher/cluster/coordinator.h"
#include "launcher/verdict/root_cause.h"
#include "runtime/net/network.h"
#include "tests/sim/host_loop.h"
#include "tests/sim/sim_node.h"
#include "tests/sim/world.h"

namespace lockstep::sim {

/// Passes news of ranks on to the gang's driver, which must never hear of a process that it did not
/// order, nor of a life in the wrong order.
class NewsCheck final : public launcher::NodeNews {
 public:
  NewsCheck(World& world, launcher::NodeNews& driver) : world_(world), driver_(driver) {}

  void OnSpawned(const elastic::RankProcess& process, pid_t pid) override;
  void OnSpawnFailed(const elastic::RankProcess& process, const base::Status& error) override;
  void OnExited(const elastic::RankProcess& process, launcher::RankEnd end) override;
  void OnGone(const elastic::RankProcess& process) override;
  void OnUnkillable(const elastic::RankProcess& process, const base::Status& error) override;
  void OnProgress(const elastic::RankProcess& process, int64_t step) override;
  void OnAccused(const elastic::RankProcess& by, const elastic::GoneRank& accused) override;

 private:
  struct Heard {
    bool started = false;  // or could not
    bool exited = false;
    bool gone = false;
  };
  Heard& Hear(const elastic::RankProcess& process, int what);

  World& world_;
  launcher::NodeNews& driver_;
  std::map<Truth::Key, Heard> heard_;
};

/// The agent of `lockstep run` on the hub, as launcher/agent/agent.cc and job_cluster.cc are: the
/// real Coordinator and GangDriver, and perhaps ranks of its own. Owned by the simulation.
///
///   made: listens, forms --> runs --the gang's end, or no gang--> tells all --> ended
class SimCoordinator final : public launcher::CoordinatorDelegate, public launcher::GangDelegate {
 public:
  explicit SimCoordinator(World& world);
  SimCoordinator(const SimCoordinator&) = delete;
  SimCoordinator& operator=(const SimCoordinator&) = delete;

  void RequestStop(int signal, bool at_once);
  void Suspend() { ended() ? void() : driver_->Suspend(); }
  void Resume() { ended() ? void() : driver_->Resume(); }
  /// SIGKILL, or its machine.
  void Kill();

  const net::Endpoint& endpoint() const { return endpoint_; }
  bool ended() const { return coordinator_ == nullptr; }
  bool was_killed() const { return killed_; }
  bool formed() const { return formed_; }
  base::SteadyTime ended_at() const { return ended_at_; }  // of the simulation
  std::optional<int> exit_status() const { return exit_status_; }
  const std::vector<elastic::RoundOutcome>& rounds() const { return rounds_; }
  const std::map<base::NodeIndex, base::Status>& lost() const { return lost_; }
  int LivingCount() const { return node_.LivingCount(); }
  const base::Clock& clock() const { return loop_.clock(); }
  /// Until when it lets that node run ranks, by its own clock; for ever when that is its own. What
  /// it said last, if it has ended.
  base::SteadyTime LeaseOf(base::NodeIndex node);
  std::function<void(base::NodeIndex)> on_lost;

  proto::Welcome MakeWelcome() const override;
  void OnFormed(const std::vector<launcher::JobNode>& nodes) override;
  void OnFormationFailed(const base::Status& why) override;
  void OnNodeLost(base::NodeIndex node, const base::Status& why) override;
  void OnOutput(base::NodeIndex, const proto::Output&) override {}
  void Answer(const proto::ControlRequest& request, launcher::OnAnswer answer) override;

  void OnRoundBegins(const elastic::SpawnRanks& round) override;
  void OnAllSpawned() override {}
  void PersistRestarts(int used) override { persisted_ = used; }
  void OnNotice(const elastic::Notice&) override {}
  void OnSurvivorsGoOn(const elastic::RoundOutcome&, const std::vector<elastic::GoneRank>&,
                       std::map<base::Rank, launcher::RankEvidence>) override {}
  void OnRoundEnded(const elastic::RoundOutcome& outcome,
                    std::map<base::Rank, launcher::RankEvidence> evidence) override;
  void OnJobEnded(const elastic::JobOutcome& outcome) override;

 private:
  void Listen();
  void JoinHere();
  launcher::RoundFacts Facts() const;
  void CheckCulprit(const elastic::RoundOutcome& outcome) const;
  void CheckWasFirst(const elastic::RoundOutcome& outcome) const;
  void Finish(int exit_status, const std::optional<proto::Verdict>& verdict);
  void Destroy();

  World& world_;
  HostLoop loop_;
  SimNode node_;
  const std::unique_ptr<net::Network> network_;
  std::unique_ptr<launcher::GangDriver> driver_;
  std::unique_ptr<NewsCheck> news_;
  std::unique_ptr<launcher::Coordinator> coordinator_;
  std::unique_ptr<net::Listener> listener_;
  net::Endpoint endpoint_;
  event::Registration end_;
  bool formed_ = false;
  bool finishing_ = false;
  bool killed_ = false;
  base::SteadyTime ended_at_{};
  int persisted_ = 0;
  std::vector<std::string> host_of_rank_;
  std::vector<elastic::RoundOutcome> rounds_;
  std::optional<proto::Verdict> last_verdict_;
  std::optional<int> exit_status_;
  std::map<base::NodeIndex, base::Status> lost_;
  std::map<base::NodeIndex, base::SteadyTime> leases_;
};

}  // namespace lockstep::sim

#endif  // LOCKSTEP_TESTS_SIM_SIM_COORDINATOR_H_
