// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_RANK_PROCESSES_H_
#define LOCKSTEP_LAUNCHER_AGENT_RANK_PROCESSES_H_

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "launcher/agent/node_ranks.h"
#include "runtime/base/result.h"
#include "runtime/base/sequence.h"
#include "runtime/base/unique_fd.h"
#include "runtime/event/loop.h"
#include "runtime/process/processes.h"

namespace lockstep::launcher {

/// Everything that a process starts with.
struct PreparedSpawn {
  process::SpawnSpec spec;
  /// Those that `spec` maps and nobody else needs; open until it has them.
  std::vector<base::UniqueFd> fds;
};

/// What surrounds the processes of a node: its agent in life, a script in simulations. All calls
/// come on the loop's thread, from within RankProcesses.
class RankHooks {
 public:
  virtual ~RankHooks() = default;

  /// Before the first spawn of a round. An error fails every spawn of it.
  virtual base::Status BeginRound(base::Round round, int restart_count) = 0;
  /// For several processes in turn, before they are spawned together.
  virtual base::Result<PreparedSpawn> Prepare(const elastic::RankProcess& process) = 0;
  virtual void OnRankSpawned(const elastic::RankProcess& process, pid_t pid) = 0;
  virtual void OnRankSpawnFailed(const elastic::RankProcess& process,
                                 const base::Status& error) = 0;
  /// Returns what is known of the end, for the gang.
  virtual RankEnd OnRankExited(const elastic::RankProcess& process, pid_t pid,
                               const process::Exit& exit) = 0;
  /// A signal goes to the leaders of these, or to all that they ever made.
  virtual void OnRanksSignalled(int signal, bool whole_tree,
                                const std::vector<elastic::RankProcess>& processes) = 0;
  /// The user wants the job to end: sessions are to save.
  virtual void OnStopRequested(base::Duration grace) = 0;
  virtual void OnSurvivorsGoOn(base::Round next, const std::vector<elastic::GoneRank>& gone) = 0;
  virtual void OnRoundGone() = 0;
};

/// The ranks of this agent: spawns them in slices, signals and kills them. One per agent. Confined
/// to the loop's thread.
class RankProcesses final : public NodeRanks {
 public:
  struct Deps {
    event::Loop& loop;
    process::Processes& processes;
    RankHooks& hooks;
    NodeNews& news;
  };

  explicit RankProcesses(Deps deps) : deps_(deps) {}
  RankProcesses(const RankProcesses&) = delete;
  RankProcesses& operator=(const RankProcesses&) = delete;

  void Spawn(base::Round round, int restart_count, const Processes& processes) override;
  void CancelSpawns() override;
  void SignalLeaders(int signal, const Processes& processes) override;
  void SignalTrees(int signal, const Processes& processes) override;
  void KillTrees(const Processes& processes, base::Duration deadline) override;
  void ForwardSignal(int signal) override;
  void RequestStop(base::Duration grace) override { deps_.hooks.OnStopRequested(grace); }
  void GoOn(base::Round next, const std::vector<elastic::GoneRank>& gone) override {
    deps_.hooks.OnSurvivorsGoOn(next, gone);
  }
  void EndRound() override;

 private:
  using ProcessKey = std::pair<base::Rank, base::Incarnation>;

  void SpawnSome();
  void OnSpawned(const elastic::RankProcess& process, std::unique_ptr<process::Process> spawned);
  void OnSpawnFailed(const elastic::RankProcess& process, const base::Status& error);
  void OnExited(const elastic::RankProcess& process, const process::Exit& exit);
  process::Process* Find(const elastic::RankProcess& process);

  const Deps deps_;
  base::Sequence seq_;
  std::map<ProcessKey, std::unique_ptr<process::Process>> processes_;
  std::set<ProcessKey> killing_;               // of them, those whose KillTrees is not answered yet
  std::deque<elastic::RankProcess> to_spawn_;  // of this round
  bool spawn_failure_told_ = false;
  base::Status spawn_error_;  // why the rest of them is not spawned
  event::Registration spawn_more_;
  // Ended ones, which may be calling us right now; destroyed from the loop.
  std::vector<std::unique_ptr<process::Process>> retired_;
  event::Registration retire_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_RANK_PROCESSES_H_
