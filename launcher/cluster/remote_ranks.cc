// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/cluster/remote_ranks.h"

#include <algorithm>
#include <string>
#include <utility>
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
  WatchStarts();
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
    if (std::exchange(found->second.to_kill, true)) continue;
    found->second.kill_by = deps_.loop.Now() + deadline + kAnswerTime;
  }
  if (lost_) return AnswerKillsWhenFenced();
  proto::RankCommand command = Command(processes);
  command.set_kill_trees(deadline.count());
  Send(std::move(command));
  if (!kills_overdue_.active()) WatchKills();
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

void RemoteRanks::GoOn(base::Round next, const std::vector<elastic::GoneRank>& gone) {
  seq_.AssertHeld();
  proto::RankCommand command = Command({});
  ToWire(next, gone, *command.mutable_next_round());
  Send(std::move(command));
}

void RemoteRanks::EndRound() {
  seq_.AssertHeld();
  proto::RankCommand command = Command({});
  command.set_end_round(true);
  Send(std::move(command));
  ranks_.clear();
  starts_overdue_.reset();
  kills_overdue_.reset();
}

void RemoteRanks::OnNews(const proto::RankNews& news) {
  seq_.AssertHeld();
  if (lost_ || news.round() != round_.value()) return;
  for (const proto::RankChange& change : news.changes()) {
    if (lost_) return;
    Apply({base::Rank(change.rank()), base::Incarnation(change.incarnation())}, change);
  }
  if (starts_overdue_.active()) WatchStarts();
}

/// From the last news on.
void RemoteRanks::WatchStarts() {
  starts_overdue_.reset();
  const auto starting = std::count_if(ranks_.begin(), ranks_.end(), [](const auto& entry) {
    return entry.second.life == Life::kStarting;
  });
  if (lost_ || starting == 0) return;
  starts_overdue_ = deps_.loop.After(kStartTime, [this, starting] {
    seq_.AssertHeld();
    GiveUp("has not started " + std::to_string(starting) +
           " of its ranks, and has said nothing of "
           "them for " +
           base::FormatDuration(kStartTime));
  });
}

void RemoteRanks::WatchKills() {
  kills_overdue_.reset();
  base::SteadyTime due = base::SteadyTime::max();
  for (const auto& [key, rank] : ranks_) {
    if (rank.to_kill) due = std::min(due, rank.kill_by);
  }
  if (lost_ || due == base::SteadyTime::max()) return;
  if (due <= deps_.loop.Now()) {
    return GiveUp("was told to kill ranks and has not said that they are gone");
  }
  kills_overdue_ = deps_.loop.At(due, [this] {
    seq_.AssertHeld();
    WatchKills();
  });
}

void RemoteRanks::GiveUp(const std::string& what) {
  deps_.give_up(base::DeadlineExceededError("its agent " + what));
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
    case proto::RankChange::kGone:
      if (life == Life::kStarting) return;
      if (life == Life::kAlive) {
        // Its end would never be heard of, and the gang waits for that.
        return GiveUp("says that rank " + process.rank.ToString() +
                      " is gone, and has not said how it ended");
      }
      ranks_.erase(found);
      return deps_.news.OnGone(process);
    case proto::RankChange::kUnkillable:
      if (!std::exchange(found->second.to_kill, false)) return;
      return deps_.news.OnUnkillable(process, proto::FromProto(change.unkillable()));
    case proto::RankChange::kAccuses:
      if (life != Life::kAlive) return;
      return deps_.news.OnAccused(process, FromWire(change.accuses()));
    case proto::RankChange::kStep: return deps_.news.OnProgress(process, change.step());
    case proto::RankChange::KIND_NOT_SET: return;  // of a newer agent
  }
}

void RemoteRanks::Lose(const base::Status& why, base::SteadyTime fenced_at) {
  seq_.AssertHeld();
  if (lost_) return;
  lost_ = why;
  fenced_at_ = fenced_at;
  starts_overdue_.reset();
  kills_overdue_.reset();
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
