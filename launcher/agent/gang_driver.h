// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_GANG_DRIVER_H_
#define LOCKSTEP_LAUNCHER_AGENT_GANG_DRIVER_H_

#include <sys/types.h>

#include <array>
#include <deque>
#include <map>
#include <vector>

#include "elastic/gang.h"
#include "launcher/agent/node_ranks.h"
#include "runtime/base/sequence.h"
#include "runtime/event/loop.h"

namespace lockstep::launcher {

/// Who is told what the gang decided: the agent in life, a script in simulations. All calls come on
/// the loop's thread, from within GangDriver.
class GangDelegate {
 public:
  virtual ~GangDelegate() = default;

  virtual void OnRoundBegins(const elastic::SpawnRanks& round) = 0;
  /// Every process of the round runs.
  virtual void OnAllSpawned() = 0;
  /// A rank has failed, and the round will end for it; nothing has been signalled by us before.
  virtual void OnRoundFails() {}
  virtual void PersistRestarts(int used) = 0;
  virtual void OnNotice(const elastic::Notice& notice) = 0;
  /// `evidence` holds what is known of those ranks that failed.
  virtual void OnRoundEnded(const elastic::RoundOutcome& outcome,
                            std::map<base::Rank, RankEvidence> evidence) = 0;
  /// The others go on without `gone`; their nodes are told afterwards. `evidence` as above.
  virtual void OnSurvivorsGoOn(const elastic::RoundOutcome& outcome,
                               const std::vector<elastic::GoneRank>& gone,
                               std::map<base::Rank, RankEvidence> evidence) = 0;
  /// The last call.
  virtual void OnJobEnded(const elastic::JobOutcome& outcome) = 0;
};

/// Carries out what elastic::Step decides: has each node spawn, signal and kill its ranks, runs the
/// gang's timers, and turns what happens to the processes into its events. One per job, where its
/// coordinator is. Confined to the loop's thread.
class GangDriver final : public NodeNews {
 public:
  struct Deps {
    event::Loop& loop;
    GangDelegate& delegate;
  };

  GangDriver(const elastic::GangConfig& config, Deps deps);
  GangDriver(const GangDriver&) = delete;
  GangDriver& operator=(const GangDriver&) = delete;

  /// `node_of_rank[r]` is where rank r lives, and there are no other ranks, whatever the config
  /// says; the nodes outlive the driver. Once, before anything else.
  void Start(std::vector<NodeRanks*> node_of_rank);
  /// `grace` is what sessions are told that they have.
  void RequestStop(int signal, bool at_once, base::Duration grace);
  void Suspend() { Handle(elastic::SuspendRequested{}); }
  void Resume() { Handle(elastic::ResumeRequested{}); }
  /// All of a node's ranks are lost at once; its NodeRanks answers for them from now on.
  void LoseNode(base::NodeIndex node, const std::vector<base::Rank>& ranks,
                const base::Status& why) {
    Handle(elastic::RanksLost{node, ranks, why});
  }
  /// The gang stands still because of these ranks, or of nobody (elastic::RanksBlamed).
  void Blame(std::vector<base::Rank> ranks, std::string why, elastic::RanksBlamed::Then then) {
    Handle(elastic::RanksBlamed{std::move(ranks), std::move(why), then});
  }
  /// Passes a user's signal (USR1, USR2) on to the leaders that live.
  void ForwardSignal(int signal);

  void OnSpawned(const elastic::RankProcess& process, pid_t pid) override;
  void OnSpawnFailed(const elastic::RankProcess& process, const base::Status& error) override;
  void OnExited(const elastic::RankProcess& process, RankEnd end) override;
  void OnGone(const elastic::RankProcess& process) override;
  void OnUnkillable(const elastic::RankProcess& process, const base::Status& error) override;
  void OnProgress(const elastic::RankProcess& process, int64_t step) override;
  void OnAccused(const elastic::RankProcess& by, const elastic::GoneRank& accused) override {
    Handle(elastic::RankAccused{by, accused.rank, accused.why});
  }

  const elastic::GangState& state() const { return state_; }
  /// The last step that each rank has reported in this round.
  const std::map<base::Rank, int64_t>& steps() const { return steps_; }

 private:
  using What = decltype(elastic::Event::what);
  /// Processes by the node that has them, in the order of their ranks.
  using ByNode = std::vector<std::pair<NodeRanks*, NodeRanks::Processes>>;

  void Handle(What what);
  void Do(const elastic::SpawnRanks& action);
  void Do(const elastic::SignalLeaders& action);
  void Do(const elastic::SignalTrees& action);
  void Do(const elastic::KillTrees& action);
  void Do(const elastic::SetTimer& action);
  void Do(const elastic::ClearTimer& action);
  void Do(const elastic::PersistRestarts& action);
  void Do(const elastic::RoundEnded& action);
  void Do(const elastic::GoOn& action);
  void Do(const elastic::Notice& action);
  void Do(const elastic::JobEnded& action);
  void CancelSpawns();
  ByNode Divide(const std::vector<elastic::RankProcess>& processes) const;

  const Deps deps_;
  base::Sequence seq_;
  elastic::GangState state_;
  std::vector<NodeRanks*> node_of_rank_;  // indexed by rank
  std::vector<NodeRanks*> nodes_;         // each once
  std::deque<elastic::Event> events_;  // bounded by the events of one round: each Step empties it
  bool stepping_ = false;
  std::map<base::Rank, int64_t> steps_;
  std::map<base::Rank, RankEvidence> evidence_;  // of the round's first kEvidenceMax failures
  std::array<event::Registration, elastic::kTimerCount> timers_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_GANG_DRIVER_H_
