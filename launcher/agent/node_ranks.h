// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_NODE_RANKS_H_
#define LOCKSTEP_LAUNCHER_AGENT_NODE_RANKS_H_

#include <sys/types.h>

#include <optional>
#include <vector>

#include "elastic/gang.h"
#include "launcher/verdict/root_cause.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/base/status.h"

namespace lockstep::launcher {

/// The ranks of one node, as whoever drives the gang commands them: those of its own agent
/// (RankProcesses) or, by messages, those of another one. Confined to the loop's thread. News of
/// them goes to a NodeNews, never of processes that no Spawn named, and may come from within a
/// call.
class NodeRanks {
 public:
  using Processes = std::vector<elastic::RankProcess>;

  virtual ~NodeRanks() = default;

  /// Each of them is answered by OnSpawned or OnSpawnFailed. The first of a round begins that here.
  virtual void Spawn(base::Round round, int restart_count, const Processes& processes) = 0;
  /// The round is coming down: those that have not been spawned yet never will be, and are answered
  /// by OnSpawnFailed(Cancelled).
  virtual void CancelSpawns() = 0;
  virtual void SignalLeaders(int signal, const Processes& processes) = 0;
  /// To all that they ever made (STOP, CONT).
  virtual void SignalTrees(int signal, const Processes& processes) = 0;
  /// SIGKILL to all that they ever made, until nothing is left: each is answered by OnGone or
  /// OnUnkillable. One that is asked for again before that is answered once.
  virtual void KillTrees(const Processes& processes, base::Duration deadline) = 0;
  /// A user's signal (USR1, USR2), for the leaders that live.
  virtual void ForwardSignal(int signal) = 0;
  /// The user wants the job to end: sessions are told, so that they save.
  virtual void RequestStop(base::Duration grace) = 0;
  /// Round `next` is in force: that of the ranks which are left without `gone`, of all nodes. They
  /// keep their processes, and commands go on to be about these.
  virtual void GoOn(base::Round next, const std::vector<elastic::GoneRank>& gone) = 0;
  /// Of the round nothing is left but what does not die.
  virtual void EndRound() = 0;
};

/// How a rank's leader ended.
struct RankEnd {
  elastic::RankExit exit;
  RankEvidence evidence;                     // when it failed
  std::optional<elastic::EventTime> when{};  // as elastic::RankExited has it
};

/// What becomes of ranks.
class NodeNews {
 public:
  virtual ~NodeNews() = default;
  virtual void OnSpawned(const elastic::RankProcess& process, pid_t pid) = 0;
  virtual void OnSpawnFailed(const elastic::RankProcess& process, const base::Status& error) = 0;
  virtual void OnExited(const elastic::RankProcess& process, RankEnd end) = 0;
  virtual void OnGone(const elastic::RankProcess& process) = 0;
  virtual void OnUnkillable(const elastic::RankProcess& process, const base::Status& error) = 0;
  /// The rank says that training step `step` is complete.
  virtual void OnProgress(const elastic::RankProcess& process, int64_t step) = 0;
  /// The rank wants the others to go on without `accused`.
  virtual void OnAccused(const elastic::RankProcess& by, const elastic::GoneRank& accused) = 0;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_NODE_RANKS_H_
