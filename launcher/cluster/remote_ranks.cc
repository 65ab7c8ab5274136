// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/cluster/remote_ranks.h"

#include <algorithm>
#include <vector>

#include "launcher/cluster/rank_wire.h"
#include "runtime/proto/status_conversion.h"

namespace lockstep::launcher {

proto::RankCommand RemoteRanks::Command(const Processes& processes) const {
  proto::RankCommand command;
  command.set_round(round_.value());
  for (const elastic::RankProcess& process : processes) ToWire(process, *command.add_processes());
  return command;
}

void RemoteRanks::Send(proto::RankCommand command) {
  if (lost_) return;
  proto::ToAgent message;
  *message.mutable_command() = std::move(command);
  deps_.send(message);
}

void RemoteRanks::Spawn(base::Round round, int restart_count, const Processes& processes) {
  seq_.AssertHeld();
  round_ = round;
  ranks_.clear();
  if (lost_) {
    for (const elastic::RankProcess& process : processes) deps_.news.OnSpawnFailed(process, *lost_);
    return;
  }
  for (const elastic::RankProcess& process : processes) {
    ranks_[{process.rank, process.incarnation}] = {};
  }
  proto::RankCommand command = Command(processes);
  command.mutable_start()->set_restart_count(restart_count);
  Send(std::move(command));
}

void RemoteRanks::CancelSpawns() {
  seq_.AssertHeld();
  proto::RankCommand command = Command({});
  command.set_cancel_starts(true);
  Send(std::move(command));
}

void RemoteRanks::SignalLeaders(int signal, const Processes& processes) {
  seq_.AssertHeld();
  proto::RankCommand command = Command(processes);
  command.set_signal_leaders(signal);
  Send(std::move(command));
}

void RemoteRanks::SignalTrees(int signal, const Processes& processes) {
  seq_.AssertHeld();
  proto::RankCommand command = Command(processes);
  command.set_signal_trees(signal);
  Send(std::move(command));
}

void RemoteRanks::KillTrees(const Processes& processes, base::Duration deadline) {
  seq_.AssertHeld();
  for (const elastic::RankProcess& process : processes) {
    const auto found = ranks_.find({process.rank, process.incarnation});
    if (found == ranks_.end()) continue;
    found->second.to_kill = true;
  }
  if (lost_) return AnswerKillsWhenFenced();
  proto::RankCommand command = Command(processes);
  command.set_kill_trees(deadline.count());
  Send(std::move(command));
}

void RemoteRanks::ForwardSignal(int signal) {
  seq_.AssertHeld();
  proto::RankCommand command = Command({});
  command.set_forward_signal(signal);
  Send(std::move(command));
}

void RemoteRanks::RequestStop(base::Duration grace) {
  seq_.AssertHeld();
  proto::RankCommand command = Command({});
  command.set_request_stop(grace.count());
  Send(std::move(command));
}

void RemoteRanks::EndRound() {
  seq_.AssertHeld();
  proto::RankCommand command = Command({});
  command.set_end_round(true);
  Send(std::move(command));
  ranks_.clear();
}

void RemoteRanks::OnNews(const proto::RankNews& news) {
  seq_.AssertHeld();
  if (lost_ || news.round() != round_.value()) return;
  for (const proto::RankChange& change : news.changes()) {
    Apply({base::Rank(change.rank()), base::Incarnation(change.incarnation())}, change);
  }
}

void RemoteRanks::Apply(const elastic::RankProcess& process, const proto::RankChange& change) {
  const auto found = ranks_.find({process.rank, process.incarnation});
  if (found == ranks_.end()) return;
  Life& life = found->second.life;
  switch (change.kind_case()) {
    case proto::RankChange::kRuns:
      if (life != Life::kStarting) return;
      life = Life::kAlive;
      return deps_.news.OnSpawned(process, static_cast<pid_t>(change.runs().pid()));
    case proto::RankChange::kNotStarted:
      if (life != Life::kStarting) return;
      ranks_.erase(found);
      return deps_.news.OnSpawnFailed(process, proto::FromProto(change.not_started()));
    case proto::RankChange::kEnded:
      if (life != Life::kAlive) return;
      life = Life::kExited;
      return deps_.news.OnExited(process, FromWire(change.ended()));
    case proto::RankChange::kGone: ranks_.erase(found); return deps_.news.OnGone(process);
    case proto::RankChange::kUnkillable:
      return deps_.news.OnUnkillable(process, proto::FromProto(change.unkillable()));
    case proto::RankChange::kStep: return deps_.news.OnProgress(process, change.step());
    case proto::RankChange::KIND_NOT_SET: return;  // of a newer agent
  }
}

void RemoteRanks::Lose(const base::Status& why, base::SteadyTime fenced_at) {
  seq_.AssertHeld();
  if (lost_) return;
  lost_ = why;
  fenced_at_ = fenced_at;
  AnswerKillsWhenFenced();
}

/// Until then they may run.
void RemoteRanks::AnswerKillsWhenFenced() {
  fenced_ = deps_.loop.At(std::max(fenced_at_, deps_.loop.Now()), [this] { AnswerKills(); });
}

void RemoteRanks::AnswerKills() {
  seq_.AssertHeld();
  Processes gone;
  for (const auto& [key, rank] : ranks_) {
    if (rank.to_kill) gone.push_back({key.first, key.second});
  }
  for (const elastic::RankProcess& process : gone)
    ranks_.erase({process.rank, process.incarnation});
  for (const elastic::RankProcess& process : gone) deps_.news.OnGone(process);
}

}  // namespace lockstep::launcher
