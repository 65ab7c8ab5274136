// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_CLUSTER_MEMBER_H_
#define LOCKSTEP_LAUNCHER_CLUSTER_MEMBER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "elastic/clock_offset.h"
#include "elastic/lease.h"
#include "launcher/agent/node_ranks.h"
#include "launcher/cluster/news_queue.h"
#include "launcher/cluster/questions.h"
#include "runtime/base/clock.h"
#include "runtime/base/result.h"
#include "runtime/base/sequence.h"
#include "runtime/event/loop.h"
#include "runtime/net/network.h"
#include "runtime/proto/agent.pb.h"

namespace lockstep::launcher {

/// Whom a membership tells. All calls come on the loop's thread.
class MemberDelegate {
 public:
  virtual ~MemberDelegate() = default;
  /// Opens what ranks of the job need, and returns them. An error ends the membership. What it is
  /// told has passed CheckWelcome.
  virtual base::Result<NodeRanks*> OnWelcome(const proto::Welcome& welcome) = 0;
  /// The job waits for nodes.
  virtual void OnForming(const proto::Forming&) {}
  /// Its secret is wiped afterwards.
  virtual void OnWorld(const proto::World& world) = 0;
  /// Every process of a round that is to run here runs.
  virtual void OnAllSpawned() {}
  virtual void OnOutputCredit(uint64_t bytes) = 0;
  /// For ranks of this node that wait for others.
  virtual void OnCards(const proto::CardTable&) {}
  /// How far the coordinator's wall clock is ahead of ours, whenever that is news
  /// (ClockOffset::IsNews).
  virtual void OnClockOffset(const elastic::ClockOffset::Estimate&) {}
  /// A request that the coordinator has passed on, for it concerns this node. Calls `answer` once.
  virtual void AnswerHere(const proto::ControlRequest& request, OnAnswer answer) = 0;
  /// The job has ended; say goodbye when everything is written.
  virtual void OnJobOver(const proto::JobOver& over) = 0;
  /// The membership is over without that: refused, or the coordinator is lost. No rank of ours
  /// lives any more, but for those that do not die. The last call.
  virtual void OnMembershipLost(const base::Status& why) = 0;
};

/// An agent's part in a job whose coordinator is elsewhere: carries orders to this node's ranks and
/// their news back, holds the lease (elastic::Step in lease.h), and ends the ranks when that is
/// over. One per agent of such a node. Confined to the loop's thread.
///
///   Start --Welcome--> member --JobOver--> SayGoodbye
///     |                  |
///     +-- refused, timeout, connection or lease over --> ranks killed --> OnMembershipLost
///
/// The coordinator is believed as far as this node's ranks go: what concerns others, or makes no
/// sense, ends the membership; a round that has begun does not begin again.
class Member final : public NodeNews {
 public:
  struct Config {
    proto::Hello hello;
    /// To a welcome or a refusal; the job itself may form much later.
    base::Duration welcome_timeout = std::chrono::seconds(10);
    base::Duration kill_deadline = std::chrono::seconds(10);  // when the lease is over
  };
  struct Deps {
    event::Loop& loop;
    MemberDelegate& delegate;
  };

  Member(Config config, Deps deps);
  Member(const Member&) = delete;
  Member& operator=(const Member&) = delete;

  /// Speaks first. Once.
  void Start(std::unique_ptr<net::Connection> connection);
  /// What this node's ranks wrote. `output` is as before when this returns; it is not copied.
  void SendOutput(proto::Output& output);
  /// What this node's ranks want to be known to the others.
  void SendCards(const proto::Cards& cards);
  /// Whether one of them waits and makes no progress, when that has changed.
  void SendStanding(bool stands);
  /// By which this machine has come to the coordinator; "" before that.
  std::string own_host() const { return connection_ ? connection_->peer().own_host : ""; }
  /// Passes a verb's request on to the coordinator. Errors: Unavailable - it is gone; else as
  /// Questions.
  void Ask(const proto::ControlRequest& request, base::Duration timeout,
           Questions::OnReply on_reply);
  /// Gives the membership up: ends our ranks, then OnMembershipLost.
  void Abandon(const base::Status& why) { Fail(why); }
  /// Everything is done and written: nothing follows. Calls `done` when the coordinator has heard
  /// all that we have said, or after `timeout`: whoever ends before that takes back his last words.
  void SayGoodbye(base::Duration timeout, std::function<void()> done);

  void OnSpawned(const elastic::RankProcess& process, pid_t pid) override;
  void OnSpawnFailed(const elastic::RankProcess& process, const base::Status& error) override;
  void OnExited(const elastic::RankProcess& process, RankEnd end) override;
  void OnGone(const elastic::RankProcess& process) override;
  void OnUnkillable(const elastic::RankProcess& process, const base::Status& error) override;
  void OnProgress(const elastic::RankProcess& process, int64_t step) override;
  void OnAccused(const elastic::RankProcess& by, const elastic::GoneRank& accused) override;

  /// The last that began here.
  base::Round round() const { return round_.value_or(base::Round()); }
  /// The coordinator's wall clock against ours.
  std::optional<elastic::ClockOffset::Estimate> clock_offset() const { return offset_.Get(); }

 private:
  using What = decltype(elastic::LeaseEvent::what);
  using Key = std::pair<base::Rank, base::Incarnation>;
  struct Asked {
    base::WallTime wall;
    base::SteadyTime steady;
  };

  void OnMessage(std::string_view payload);
  void OnWelcome(const proto::Welcome& welcome);
  /// Wipes its secret.
  void OnWorld(proto::World& world);
  void OnCommand(const proto::RankCommand& command);
  void OnNextRound(const proto::NextRound& next);
  void OnStart(const proto::RankCommand& command, const NodeRanks::Processes& processes);
  void OnJobOver(const proto::JobOver& over);
  void OnAck(const proto::HeartbeatAck& ack);
  void TellClockOffset();
  void OnRequest(const proto::ForwardedRequest& request);
  void OnClosed(const base::Status& why);

  void Handle(What what);
  void Do(const elastic::SendHeartbeat& action);
  void Do(const elastic::Fence& action);
  void Do(const elastic::SetLeaseTimer& action);

  /// The change that `process`'s news goes into; sent from the loop.
  proto::RankChange& News(const elastic::RankProcess& process);
  void SendNewsSoon(base::Duration pause);
  /// As much as there is room for on the way; the rest a little later.
  void SendNews();
  void Send(const proto::FromAgent& message);
  /// Ends every rank, then the membership.
  void Fail(const base::Status& why);
  void KillAll();
  void CheckFenced();

  const Config config_;
  const Deps deps_;
  base::Sequence seq_;
  std::unique_ptr<net::Connection> connection_;
  event::Registration welcome_timer_;
  base::SteadyTime hello_sent_at_{};
  NodeRanks* ranks_ = nullptr;  // once welcomed
  int node_ = -1;               // once welcomed
  int first_rank_ = 0;          // of this node's, once the world has come
  int rank_count_ = 0;
  std::optional<base::Round> round_;  // the last that began here
  bool in_round_ = false;             // and has not ended
  base::Round membership_round_;      // that one, or a later one of its survivors
  std::set<Key> living_;              // ordered here, and not gone
  size_t to_spawn_ = 0;               // ordered in this round, and not running yet
  elastic::LeaseState lease_;
  event::Registration lease_timer_;
  std::map<uint64_t, Asked> asked_at_;  // of heartbeats without an answer
  elastic::ClockOffset offset_;
  std::optional<elastic::ClockOffset::Estimate> told_offset_;
  elastic::ClockOffset steady_offset_;  // orders ends: no step of a wall clock moves it
  NewsQueue news_;
  event::Registration send_news_;
  Questions questions_;
  int answering_ = 0;  // requests that the coordinator waits for
  std::optional<base::Status> lost_;
  event::Registration give_up_;
  std::function<void()> farewell_;
  bool over_ = false;  // JobOver came, or the end was told
  /// Expires with the member; for answers that come late.
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_CLUSTER_MEMBER_H_
