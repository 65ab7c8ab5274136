// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_GANG_DRIVER_H_
#define LOCKSTEP_LAUNCHER_AGENT_GANG_DRIVER_H_

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "elastic/gang.h"
#include "runtime/base/result.h"
#include "runtime/base/sequence.h"
#include "runtime/base/unique_fd.h"
#include "runtime/event/loop.h"
#include "runtime/process/processes.h"

namespace lockstep::launcher {

/// Everything that a process starts with.
struct PreparedSpawn {
  process::SpawnSpec spec;
  std::vector<base::UniqueFd>
      fds;  // that `spec` maps and nobody else needs; open until it has them
};

/// What surrounds the processes of a gang: the agent in life, a script in simulations. All calls
/// come on the loop's thread, from within GangDriver.
class GangDelegate {
 public:
  virtual ~GangDelegate() = default;

  /// Before the first spawn of a round. An error fails every spawn of it.
  virtual base::Status BeginRound(const elastic::SpawnRanks& round) = 0;
  /// For several processes in turn, before they are spawned together.
  virtual base::Result<PreparedSpawn> Prepare(const elastic::RankProcess& process) = 0;
  virtual void OnSpawned(const elastic::RankProcess& process, pid_t pid) = 0;
  virtual void OnSpawnFailed(const elastic::RankProcess& process, const base::Status& error) = 0;
  /// Every process of the round has been spawned, and none has failed to.
  virtual void OnAllSpawned() = 0;
  /// Returns what makes this failure the same as another: elastic::RankExit::fingerprint.
  virtual std::string OnExited(const elastic::RankProcess& process, pid_t pid,
                               const process::Exit& exit) = 0;
  /// A signal goes to the leaders of these, or to all that they ever made.
  virtual void OnSignalled(int signal, bool whole_tree,
                           const std::vector<elastic::RankProcess>& processes) = 0;

  virtual void PersistRestarts(int used) = 0;
  virtual void OnNotice(const elastic::Notice& notice) = 0;
  virtual void OnRoundEnded(const elastic::RoundOutcome& outcome) = 0;
  /// The last call.
  virtual void OnJobEnded(const elastic::JobOutcome& outcome) = 0;
};

/// Carries out what elastic::Step decides: spawns, signals and kills ranks, runs its timers, and
/// turns what happens to the processes into its events. One per agent. Confined to the loop's
/// thread.
class GangDriver {
 public:
  struct Deps {
    event::Loop& loop;
    process::Processes& processes;
    GangDelegate& delegate;
  };

  GangDriver(const elastic::GangConfig& config, Deps deps);
  GangDriver(const GangDriver&) = delete;
  GangDriver& operator=(const GangDriver&) = delete;

  void Start() { Handle(elastic::Start{}); }
  void RequestStop(int signal, bool at_once) { Handle(elastic::StopRequested{signal, at_once}); }
  void Suspend() { Handle(elastic::SuspendRequested{}); }
  void Resume() { Handle(elastic::ResumeRequested{}); }
  void ReportProgress(const elastic::RankProcess& process, int64_t step) {
    Handle(elastic::Progress{process, step});
  }
  /// Passes a user's signal (USR1, USR2) on to the leaders that live.
  void ForwardSignal(int signal);

  const elastic::GangState& state() const { return state_; }

 private:
  using What = decltype(elastic::Event::what);
  using ProcessKey = std::pair<base::Rank, base::Incarnation>;

  void Handle(What what);
  void Do(const elastic::SpawnRanks& action);
  void Do(const elastic::SignalLeaders& action);
  void Do(const elastic::SignalTrees& action);
  void Do(const elastic::KillTrees& action);
  void Do(const elastic::SetTimer& action);
  void Do(const elastic::ClearTimer& action);
  void Do(const elastic::PersistRestarts& action);
  void Do(const elastic::RoundEnded& action);
  void Do(const elastic::Notice& action);
  void Do(const elastic::JobEnded& action);

  void SpawnSome();
  void OnSpawned(const elastic::RankProcess& process, std::unique_ptr<process::Process> spawned);
  void OnSpawnFailed(const elastic::RankProcess& process, const base::Status& error);
  void OnExited(const elastic::RankProcess& process, const process::Exit& exit);
  process::Process* Find(const elastic::RankProcess& process);
  void RetireProcesses();

  const Deps deps_;
  base::Sequence seq_;
  elastic::GangState state_;
  std::deque<elastic::Event> events_;  // bounded by the events of one round: each Step empties it
  bool stepping_ = false;
  std::map<ProcessKey, std::unique_ptr<process::Process>> processes_;
  std::deque<elastic::RankProcess> to_spawn_;  // of this round, at most rank_count
  bool spawn_failure_told_ = false;
  base::Status spawn_error_;  // why the rest of them is not spawned
  event::Registration spawn_more_;
  // Ended ones, which may be calling us right now; destroyed from the loop.
  std::vector<std::unique_ptr<process::Process>> retired_;
  event::Registration retire_;
  std::array<event::Registration, elastic::kTimerCount> timers_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_GANG_DRIVER_H_
