// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_CLUSTER_REMOTE_RANKS_H_
#define LOCKSTEP_LAUNCHER_CLUSTER_REMOTE_RANKS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "launcher/agent/node_ranks.h"
#include "runtime/base/clock.h"
#include "runtime/base/sequence.h"
#include "runtime/base/thread_annotations.h"
#include "runtime/event/loop.h"
#include "runtime/proto/agent.pb.h"

namespace lockstep::launcher {

/// The ranks of another agent's node: commands become messages to it, its RankNews become ours.
/// One per member, owned by the coordinator. Confined to the loop's thread.
///
///   in touch --Lose()--> lost
///
/// An agent that owes an answer for too long (a start, for kStartTime without any news; a kill, for
/// its deadline and kAnswerTime), or says that a rank is gone whose end it has not told, is given
/// up, so that nobody waits for it for ever.
///
/// Of a lost node nothing is heard any more; who is asked to kill its ranks is answered when the
/// node's lease is over, since its agent has ended them by then.
/// News of a process that was not ordered here, or of an old round, changes nothing: a peer cannot
/// speak for ranks that are not its own.
class RemoteRanks final : public NodeRanks {
 public:
  /// Ranks are started in slices of some 10 ms each, and the loop goes on in between: an agent
  /// whose heartbeats come and that starts none of those that it owes for so long never will.
  static constexpr base::Duration kStartTime = std::chrono::seconds(60);
  /// After a kill's deadline: for the way there and back, and a loop that is busy.
  static constexpr base::Duration kAnswerTime = std::chrono::seconds(5);

  struct Deps {
    event::Loop& loop;
    NodeNews& news;
    /// Sends to the agent. What cannot be sent ends the connection, and Lose() follows.
    std::function<void(const proto::ToAgent&)> send;
    /// The agent counts as lost: ends the connection, and Lose() follows, perhaps within this call.
    std::function<void(const base::Status&)> give_up;
  };

  explicit RemoteRanks(Deps deps) : deps_(std::move(deps)) {}

  void Spawn(base::Round round, int restart_count, const Processes& processes) override;
  void CancelSpawns() override;
  void SignalLeaders(int signal, const Processes& processes) override;
  void SignalTrees(int signal, const Processes& processes) override;
  void KillTrees(const Processes& processes, base::Duration deadline) override;
  void ForwardSignal(int signal) override;
  void RequestStop(base::Duration grace) override;
  void GoOn(base::Round next, const std::vector<elastic::GoneRank>& gone) override;
  void EndRound() override;

  /// What the agent says.
  void OnNews(const proto::RankNews& news);
  /// The connection is gone for good; `fenced_at`: from then on none of its ranks lives. To tell
  /// the gang is the caller's.
  void Lose(const base::Status& why, base::SteadyTime fenced_at);

 private:
  enum class Life : uint8_t { kStarting, kAlive, kExited };
  struct Rank {
    Life life = Life::kStarting;
    bool to_kill = false;        // KillTrees asked for it, and no answer has come
    base::SteadyTime kill_by{};  // when the answer is overdue
  };
  using Key = std::pair<base::Rank, base::Incarnation>;

  proto::RankCommand Command(const Processes& processes) const REQUIRES(seq_);
  void Send(proto::RankCommand command) REQUIRES(seq_);
  void Apply(const elastic::RankProcess& process, const proto::RankChange& change) REQUIRES(seq_);
  void WatchStarts() REQUIRES(seq_);
  void WatchKills() REQUIRES(seq_);
  void GiveUp(const std::string& what) REQUIRES(seq_);
  void AnswerKillsWhenFenced() REQUIRES(seq_);
  void AnswerKills();

  const Deps deps_;
  base::Sequence seq_;
  base::Round round_ GUARDED_BY(seq_);
  std::map<Key, Rank> ranks_ GUARDED_BY(seq_);  // of the round, those that are not gone
  std::optional<base::Status> lost_ GUARDED_BY(seq_);
  base::SteadyTime fenced_at_ GUARDED_BY(seq_){};
  event::Registration starts_overdue_ GUARDED_BY(seq_);
  event::Registration kills_overdue_ GUARDED_BY(seq_);
  event::Registration fenced_ GUARDED_BY(seq_);
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_CLUSTER_REMOTE_RANKS_H_
