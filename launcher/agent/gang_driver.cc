// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/gang_driver.h"

#include <algorithm>
#include <utility>
#include <variant>

namespace lockstep::launcher {

namespace {

// The culprit is among the first that fail; the rest only follow.
constexpr size_t kEvidenceMax = 256;

bool Runs(elastic::Phase phase) {
  return phase == elastic::Phase::kStarting || phase == elastic::Phase::kRunning;
}

bool HasFailed(const elastic::GangState& gang) {
  return std::any_of(gang.ranks.begin(), gang.ranks.end(),
                     [](const elastic::RankRecord& rank) { return rank.failed(); });
}

}  // namespace

GangDriver::GangDriver(const elastic::GangConfig& config, Deps deps)
    : deps_(deps), state_(config) {}

void GangDriver::Start(std::vector<NodeRanks*> node_of_rank) {
  node_of_rank_ = std::move(node_of_rank);
  nodes_ = node_of_rank_;
  nodes_.erase(std::unique(nodes_.begin(), nodes_.end()), nodes_.end());  // ranks go node by node
  state_.config.rank_count = static_cast<int>(node_of_rank_.size());
  Handle(elastic::Start{});
}

void GangDriver::Handle(What what) {
  seq_.AssertHeld();
  events_.push_back({deps_.loop.Now(), std::move(what)});
  if (stepping_) return;
  stepping_ = true;
  while (!events_.empty()) {
    const elastic::Event event = std::move(events_.front());
    events_.pop_front();
    const elastic::Phase phase_before = state_.phase;
    const bool signalled_before = state_.signalled;
    elastic::StepResult result = elastic::Step(std::move(state_), event);
    state_ = std::move(result.state);
    if (Runs(phase_before) && !Runs(state_.phase) && HasFailed(state_))
      deps_.delegate.OnRoundFails();
    for (const elastic::Action& action : result.actions) {
      std::visit([this](const auto& what_to_do) { Do(what_to_do); }, action);
    }
    if (state_.signalled && !signalled_before) CancelSpawns();
    if (phase_before == elastic::Phase::kStarting && state_.phase == elastic::Phase::kRunning) {
      deps_.delegate.OnAllSpawned();
    }
  }
  stepping_ = false;
}

void GangDriver::CancelSpawns() {
  for (NodeRanks* node : nodes_) node->CancelSpawns();
}

GangDriver::ByNode GangDriver::Divide(const std::vector<elastic::RankProcess>& processes) const {
  ByNode divided;
  for (const elastic::RankProcess& process : processes) {
    NodeRanks* node = node_of_rank_[static_cast<size_t>(process.rank.value())];
    if (divided.empty() || divided.back().first != node) divided.push_back({node, {}});
    divided.back().second.push_back(process);
  }
  return divided;
}

void GangDriver::Do(const elastic::SpawnRanks& action) {
  evidence_.clear();
  steps_.clear();
  deps_.delegate.OnRoundBegins(action);
  for (const auto& [node, processes] : Divide(action.processes)) {
    node->Spawn(action.round, action.restart_count, processes);
  }
}

void GangDriver::Do(const elastic::SignalLeaders& action) {
  for (const auto& [node, processes] : Divide(action.processes)) {
    node->SignalLeaders(action.signal, processes);
  }
}

void GangDriver::Do(const elastic::SignalTrees& action) {
  for (const auto& [node, processes] : Divide(action.processes)) {
    node->SignalTrees(action.signal, processes);
  }
}

void GangDriver::Do(const elastic::KillTrees& action) {
  for (const auto& [node, processes] : Divide(action.processes)) {
    node->KillTrees(processes, action.deadline);
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
  for (NodeRanks* node : nodes_) node->EndRound();
  deps_.delegate.OnRoundEnded(action.outcome, std::exchange(evidence_, {}));
}

void GangDriver::Do(const elastic::GoOn& action) {
  std::vector<elastic::GoneRank> gone;
  for (const base::Rank rank : action.gone) {
    const elastic::RankRecord& record = action.outcome.ranks[static_cast<size_t>(rank.value())];
    gone.push_back({rank, HowItWent(record)});
  }
  deps_.delegate.OnSurvivorsGoOn(action.outcome, gone, evidence_);
  for (NodeRanks* node : nodes_) node->GoOn(action.outcome.next_round, gone);
}

void GangDriver::Do(const elastic::Notice& action) { deps_.delegate.OnNotice(action); }

void GangDriver::Do(const elastic::JobEnded& action) { deps_.delegate.OnJobEnded(action.outcome); }

void GangDriver::RequestStop(int signal, bool at_once, base::Duration grace) {
  for (NodeRanks* node : nodes_) node->RequestStop(grace);
  Handle(elastic::StopRequested{signal, at_once});
}

void GangDriver::ForwardSignal(int signal) {
  for (NodeRanks* node : nodes_) node->ForwardSignal(signal);
}

void GangDriver::OnSpawned(const elastic::RankProcess& process, pid_t pid) {
  Handle(elastic::RankSpawned{process, pid});
}

void GangDriver::OnSpawnFailed(const elastic::RankProcess& process, const base::Status& error) {
  Handle(elastic::SpawnFailed{process, error});
}

void GangDriver::OnExited(const elastic::RankProcess& process, RankEnd end) {
  if (!end.exit.ok() && evidence_.size() < kEvidenceMax) {
    evidence_[process.rank] = std::move(end.evidence);
  }
  Handle(elastic::RankExited{process, std::move(end.exit), end.when});
}

void GangDriver::OnGone(const elastic::RankProcess& process) { Handle(elastic::RankGone{process}); }

void GangDriver::OnUnkillable(const elastic::RankProcess& process, const base::Status& error) {
  Handle(elastic::KillFailed{process, error});
}

void GangDriver::OnProgress(const elastic::RankProcess& process, int64_t step) {
  steps_[process.rank] = step;
  Handle(elastic::Progress{process, step});
}

}  // namespace lockstep::launcher
