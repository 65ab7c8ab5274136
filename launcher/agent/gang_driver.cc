// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/gang_driver.h"

#include <algorithm>
#include <csignal>
#include <iterator>
#include <utility>
#include <variant>

namespace lockstep::launcher {

namespace {

constexpr ptrdiff_t kSpawnSlice = 32;  // spawned side by side, in some 10 ms

}  // namespace

GangDriver::GangDriver(const elastic::GangConfig& config, Deps deps)
    : deps_(deps), state_(config) {}

void GangDriver::Handle(What what) {
  seq_.AssertHeld();
  events_.push_back({deps_.loop.Now(), std::move(what)});
  if (stepping_) return;
  stepping_ = true;
  while (!events_.empty()) {
    const elastic::Event event = std::move(events_.front());
    events_.pop_front();
    elastic::StepResult result = elastic::Step(std::move(state_), event);
    state_ = std::move(result.state);
    for (const elastic::Action& action : result.actions) {
      std::visit([this](const auto& what_to_do) { Do(what_to_do); }, action);
    }
  }
  stepping_ = false;
}

void GangDriver::Do(const elastic::SpawnRanks& action) {
  spawn_error_ = deps_.delegate.BeginRound(action);
  spawn_failure_told_ = false;
  to_spawn_.assign(action.processes.begin(), action.processes.end());
  SpawnSome();
}

/// A slice: a gang of thousands takes seconds to spawn, and signals, exits and output do not wait.
void GangDriver::SpawnSome() {
  if (spawn_error_.ok() && state_.signalled) {
    spawn_error_ = base::CancelledError("not started: the gang is coming down");
    spawn_failure_told_ = true;  // it is none
  }
  const auto end = to_spawn_.begin() + std::min(std::ssize(to_spawn_), kSpawnSlice);
  const std::vector<elastic::RankProcess> slice(to_spawn_.begin(), end);
  to_spawn_.erase(to_spawn_.begin(), end);
  const bool is_last = to_spawn_.empty();

  std::vector<process::SpawnRequest> requests;
  std::vector<base::UniqueFd> fds;
  base::Status unprepared;
  for (const elastic::RankProcess& process : slice) {
    if (!spawn_error_.ok()) break;
    base::Result<PreparedSpawn> prepared = deps_.delegate.Prepare(process);
    unprepared = prepared.status();
    if (!prepared.ok()) break;
    requests.push_back({std::move(prepared->spec),
                        [this, process](const process::Exit& exit) { OnExited(process, exit); }});
    std::move(prepared->fds.begin(), prepared->fds.end(), std::back_inserter(fds));
  }
  std::vector<process::SpawnResult> results = deps_.processes.SpawnAll(std::move(requests));
  fds.clear();  // so that the end of what the ranks write shows
  // Known before any of it is told: the news of a failure may end the job.
  const bool all_run =
      spawn_error_.ok() && results.size() == slice.size() &&
      std::all_of(results.begin(), results.end(), [](const auto& one) { return one.ok(); });
  for (size_t i = 0; i < slice.size(); ++i) {
    if (i >= results.size()) {
      OnSpawnFailed(slice[i], spawn_error_.ok() ? unprepared : spawn_error_);
    } else if (results[i].ok()) {
      OnSpawned(slice[i], std::move(results[i]).value());
    } else {
      OnSpawnFailed(slice[i], results[i].status());
    }
  }
  if (!is_last) {
    spawn_more_ = deps_.loop.After(base::Duration(0), [this] { SpawnSome(); });
  } else if (all_run) {
    deps_.delegate.OnAllSpawned();
  }
}

void GangDriver::OnSpawned(const elastic::RankProcess& process,
                           std::unique_ptr<process::Process> spawned) {
  const pid_t pid = spawned->pid();
  processes_[{process.rank, process.incarnation}] = std::move(spawned);
  deps_.delegate.OnSpawned(process, pid);
  Handle(elastic::RankSpawned{process, pid});
}

/// The first failure of a round is told; for the rest it is the reason, whatever became of them.
void GangDriver::OnSpawnFailed(const elastic::RankProcess& process, const base::Status& error) {
  if (std::exchange(spawn_failure_told_, true)) {
    return Handle(elastic::SpawnFailed{process, spawn_error_});
  }
  const base::Status why = error;  // may be spawn_error_ itself
  spawn_error_ = base::CancelledError("not started: the gang cannot be complete").WithCause(why);
  deps_.delegate.OnSpawnFailed(process, why);
  Handle(elastic::SpawnFailed{process, why});
}

void GangDriver::OnExited(const elastic::RankProcess& process, const process::Exit& exit) {
  const process::Process* ended = Find(process);
  if (ended == nullptr) return;  // it did not die when its round ended
  const std::string fingerprint = deps_.delegate.OnExited(process, ended->pid(), exit);
  Handle(elastic::RankExited{process, {exit.code, exit.signal, exit.out_of_memory, fingerprint}});
}

process::Process* GangDriver::Find(const elastic::RankProcess& process) {
  const auto found = processes_.find({process.rank, process.incarnation});
  return found == processes_.end() ? nullptr : found->second.get();
}

void GangDriver::Do(const elastic::SignalLeaders& action) {
  deps_.delegate.OnSignalled(action.signal, false, action.processes);
  for (const elastic::RankProcess& process : action.processes) {
    // A leader that has just ended is about to be reported; nothing is lost with the signal.
    if (process::Process* found = Find(process)) (void)found->SignalLeader(action.signal);
  }
}

void GangDriver::Do(const elastic::SignalTrees& action) {
  deps_.delegate.OnSignalled(action.signal, true, action.processes);
  for (const elastic::RankProcess& process : action.processes) {
    if (process::Process* found = Find(process)) (void)found->SignalAll(action.signal);
  }
}

void GangDriver::Do(const elastic::KillTrees& action) {
  deps_.delegate.OnSignalled(SIGKILL, true, action.processes);
  for (const elastic::RankProcess& process : action.processes) {
    process::Process* found = Find(process);
    if (found == nullptr) {
      Handle(elastic::RankGone{process});
      continue;
    }
    found->KillAll(action.deadline, [this, process](const base::Status& status) {
      if (status.ok()) {
        Handle(elastic::RankGone{process});
      } else {
        Handle(elastic::KillFailed{process, status});
      }
    });
  }
}

void GangDriver::Do(const elastic::SetTimer& action) {
  timers_[static_cast<size_t>(action.timer)] =
      deps_.loop.At(action.due, [this, timer = action.timer, generation = action.generation] {
        Handle(elastic::TimerFired{timer, generation});
      });
}

void GangDriver::Do(const elastic::ClearTimer& action) {
  timers_[static_cast<size_t>(action.timer)].reset();
}

void GangDriver::Do(const elastic::PersistRestarts& action) {
  deps_.delegate.PersistRestarts(action.used);
}

void GangDriver::Do(const elastic::RoundEnded& action) {
  RetireProcesses();
  deps_.delegate.OnRoundEnded(action.outcome);
}

void GangDriver::Do(const elastic::Notice& action) { deps_.delegate.OnNotice(action); }

void GangDriver::Do(const elastic::JobEnded& action) { deps_.delegate.OnJobEnded(action.outcome); }

void GangDriver::RetireProcesses() {
  for (auto& [key, process] : processes_) retired_.push_back(std::move(process));
  processes_.clear();
  retire_ = deps_.loop.After(base::Duration(0), [this] { retired_.clear(); });
}

void GangDriver::ForwardSignal(int signal) {
  seq_.AssertHeld();
  for (const auto& [key, process] : processes_) {
    // A leader that has just ended is about to be reported; nothing is lost with the signal.
    if (!process->exit()) (void)process->SignalLeader(signal);
  }
}

}  // namespace lockstep::launcher
