// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/rank_processes.h"

#include <algorithm>
#include <csignal>
#include <iterator>
#include <utility>

namespace lockstep::launcher {

namespace {

constexpr ptrdiff_t kSpawnSlice = 32;  // spawned side by side, in some 10 ms

}  // namespace

void RankProcesses::Spawn(base::Round round, int restart_count, const Processes& processes) {
  seq_.AssertHeld();
  spawn_error_ = deps_.hooks.BeginRound(round, restart_count);
  spawn_failure_told_ = false;
  to_spawn_.assign(processes.begin(), processes.end());
  SpawnSome();
}

/// A slice: a gang of thousands takes seconds to spawn, and signals, exits and output do not wait.
void RankProcesses::SpawnSome() {
  const auto end = to_spawn_.begin() + std::min(std::ssize(to_spawn_), kSpawnSlice);
  const Processes slice(to_spawn_.begin(), end);
  to_spawn_.erase(to_spawn_.begin(), end);
  if (!to_spawn_.empty()) {
    spawn_more_ = deps_.loop.After(base::Duration(0), [this] { SpawnSome(); });
  }

  std::vector<process::SpawnRequest> requests;
  std::vector<base::UniqueFd> fds;
  base::Status unprepared;
  for (const elastic::RankProcess& process : slice) {
    if (!spawn_error_.ok()) break;
    base::Result<PreparedSpawn> prepared = deps_.hooks.Prepare(process);
    unprepared = prepared.status();
    if (!prepared.ok()) break;
    requests.push_back({std::move(prepared->spec),
                        [this, process](const process::Exit& exit) { OnExited(process, exit); }});
    std::move(prepared->fds.begin(), prepared->fds.end(), std::back_inserter(fds));
  }
  std::vector<process::SpawnResult> results = deps_.processes.SpawnAll(std::move(requests));
  fds.clear();  // so that the end of what the ranks write shows
  for (size_t i = 0; i < slice.size(); ++i) {
    if (i >= results.size()) {
      // A copy: it becomes another one by the call.
      OnSpawnFailed(slice[i], spawn_error_.ok() ? unprepared : base::Status(spawn_error_));
    } else if (results[i].ok()) {
      OnSpawned(slice[i], std::move(results[i]).value());
    } else {
      OnSpawnFailed(slice[i], results[i].status());
    }
  }
}

/// What is in the queue is answered when its turn comes.
void RankProcesses::CancelSpawns() {
  seq_.AssertHeld();
  if (to_spawn_.empty() || !spawn_error_.ok()) return;
  spawn_error_ = base::CancelledError("not started: the gang is coming down");
  spawn_failure_told_ = true;  // it is none
}

void RankProcesses::OnSpawned(const elastic::RankProcess& process,
                              std::unique_ptr<process::Process> spawned) {
  const pid_t pid = spawned->pid();
  processes_[{process.rank, process.incarnation}] = std::move(spawned);
  deps_.hooks.OnRankSpawned(process, pid);
  deps_.news.OnSpawned(process, pid);
}

/// The first failure of a round is told; for the rest it is the reason, whatever became of them.
void RankProcesses::OnSpawnFailed(const elastic::RankProcess& process, const base::Status& error) {
  if (std::exchange(spawn_failure_told_, true)) {
    return deps_.news.OnSpawnFailed(process, spawn_error_);
  }
  spawn_error_ = base::CancelledError("not started: the gang cannot be complete").WithCause(error);
  deps_.hooks.OnRankSpawnFailed(process, error);
  deps_.news.OnSpawnFailed(process, error);
}

void RankProcesses::OnExited(const elastic::RankProcess& process, const process::Exit& exit) {
  const process::Process* ended = Find(process);
  if (ended == nullptr) return;  // it did not die when its round ended
  deps_.news.OnExited(process, deps_.hooks.OnRankExited(process, ended->pid(), exit));
}

process::Process* RankProcesses::Find(const elastic::RankProcess& process) {
  const auto found = processes_.find({process.rank, process.incarnation});
  return found == processes_.end() ? nullptr : found->second.get();
}

void RankProcesses::SignalLeaders(int signal, const Processes& processes) {
  seq_.AssertHeld();
  deps_.hooks.OnRanksSignalled(signal, false, processes);
  for (const elastic::RankProcess& process : processes) {
    // A leader that has just ended is about to be reported; nothing is lost with the signal.
    if (process::Process* found = Find(process)) (void)found->SignalLeader(signal);
  }
}

void RankProcesses::SignalTrees(int signal, const Processes& processes) {
  seq_.AssertHeld();
  deps_.hooks.OnRanksSignalled(signal, true, processes);
  for (const elastic::RankProcess& process : processes) {
    if (process::Process* found = Find(process)) (void)found->SignalAll(signal);
  }
}

void RankProcesses::KillTrees(const Processes& processes, base::Duration deadline) {
  seq_.AssertHeld();
  deps_.hooks.OnRanksSignalled(SIGKILL, true, processes);
  for (const elastic::RankProcess& process : processes) {
    process::Process* found = Find(process);
    if (found == nullptr) {
      deps_.news.OnGone(process);
      continue;
    }
    // Whoever kills again (a node whose lease is over, while the gang ends the round) is answered
    // by the kill that is under way.
    if (!killing_.emplace(process.rank, process.incarnation).second) continue;
    found->KillAll(deadline, [this, process](const base::Status& status) {
      killing_.erase({process.rank, process.incarnation});
      if (status.ok()) {
        deps_.news.OnGone(process);
      } else {
        deps_.news.OnUnkillable(process, status);
      }
    });
  }
}

void RankProcesses::ForwardSignal(int signal) {
  seq_.AssertHeld();
  for (const auto& [key, process] : processes_) {
    // A leader that has just ended is about to be reported; nothing is lost with the signal.
    if (!process->exit()) (void)process->SignalLeader(signal);
  }
}

void RankProcesses::EndRound() {
  seq_.AssertHeld();
  for (auto& [key, process] : processes_) retired_.push_back(std::move(process));
  processes_.clear();
  killing_.clear();
  retire_ = deps_.loop.After(base::Duration(0), [this] { retired_.clear(); });
  deps_.hooks.OnRoundGone();
}

}  // namespace lockstep::launcher
