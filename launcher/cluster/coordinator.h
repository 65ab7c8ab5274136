// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_CLUSTER_COORDINATOR_H_
#define LOCKSTEP_LAUNCHER_CLUSTER_COORDINATOR_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "elastic/clock_offset.h"
#include "elastic/lease.h"
#include "elastic/membership.h"
#include "launcher/cluster/job_cards.h"
#include "launcher/cluster/protocol.h"
#include "launcher/cluster/questions.h"
#include "launcher/cluster/remote_ranks.h"
#include "runtime/base/clock.h"
#include "runtime/base/sequence.h"
#include "runtime/event/loop.h"
#include "runtime/net/network.h"
#include "runtime/proto/agent.pb.h"

namespace lockstep::launcher {

/// A node of a job that has formed.
struct JobNode {
  elastic::NodeFacts facts;    // with at least one address
  int master_port = 0;         // free there, and kept for the job
  std::string jobs_root;       // there; "" = as this process's
  NodeRanks* ranks = nullptr;  // lives as long as the coordinator
  /// Of the coordinator's own node: the address of this machine that another node has come by, if
  /// one has.
  std::string own_host;
};

/// Whom the coordinator tells. All calls come on the loop's thread.
class CoordinatorDelegate {
 public:
  virtual ~CoordinatorDelegate() = default;
  /// Everything but node, heartbeat and lease.
  virtual proto::Welcome MakeWelcome() const = 0;
  /// All nodes are there, in the order of their indices.
  virtual void OnFormed(const std::vector<JobNode>& nodes) = 0;
  virtual void OnFormationFailed(const base::Status& why) = 0;
  /// An agent of this job wanted to join and may not; it is told the same.
  virtual void OnRefused(const base::Status&) {}
  /// Its ranks are told of by NodeNews before this.
  virtual void OnNodeLost(base::NodeIndex node, const base::Status& why) = 0;
  virtual void OnOutput(base::NodeIndex node, const proto::Output& output) = 0;
  /// Finish() does not wait for it any more, though it has not said goodbye: what it still had to
  /// send is lost. At most once a node, of a formed job, and not of one that was lost before.
  virtual void OnLeftEarly(base::NodeIndex) {}
  /// What a verb has asked a member's agent. Calls `answer` once.
  virtual void Answer(const proto::ControlRequest& request, OnAnswer answer) = 0;
  /// For ranks of the coordinator's own node.
  virtual void OnCards(const proto::CardTable&) {}
  /// A rank of the node waits and makes no progress, or does no more.
  virtual void OnStanding(base::NodeIndex, bool /*stands*/) {}
};

/// The place where a job's agents meet: admits them, holds their leases, and carries orders and
/// news between them and the gang. One per job of several nodes, in its first agent. Who belongs to
/// the job is decided by elastic::Step (membership.h). Confined to the loop's thread.
///
/// Life of a connection: handed in by Accept -> Hello within hello_timeout -> admitted or refused
/// -> heartbeats, news, output -> Goodbye and its end, or lost.
class Coordinator {
 public:
  struct Config {
    std::string job_id;
    elastic::MembershipConfig membership;
    elastic::LeaseConfig lease;  // its `lease` is membership.lease
    base::Duration hello_timeout = std::chrono::seconds(5);
    base::Duration farewell_timeout = kFarewellTime;
    /// One of which nothing is heard for so long, or for its lease if that is longer, is not waited
    /// for until then.
    base::Duration farewell_silence = std::chrono::seconds(5);
  };
  struct Deps {
    event::Loop& loop;
    NodeNews& news;
    CoordinatorDelegate& delegate;
  };

  /// For the listener of a coordinator: all nodes may come in the same moment.
  static size_t HandshakesMax(int node_count);

  Coordinator(Config config, Deps deps);
  Coordinator(const Coordinator&) = delete;
  Coordinator& operator=(const Coordinator&) = delete;

  void Begin();
  /// The coordinator's own agent is a node too.
  void JoinLocal(elastic::NodeFacts facts, int master_port, NodeRanks& ranks);
  /// A peer that has proved that it belongs to the job.
  void Accept(std::unique_ptr<net::Connection> connection);

  /// To every member of a job that waits for nodes: how many are there.
  void SendForming();
  /// To every member, once the world is known.
  void SendWorld(const proto::World& world);
  /// Ranks of this round are about to be started, or go on as those that are left; those of earlier
  /// ones do not meet any more.
  void BeginRound(base::Round round) { cards_.BeginRound(round); }
  /// What the coordinator's own node says of its ranks.
  void TakeLocalCards(const proto::Cards& cards);
  void SendOutputCredit(base::NodeIndex node, uint64_t bytes);
  /// Passes a verb's request on to the agent of another node. Errors: NotFound - there is no such
  /// node; Unavailable - it is lost, or gone; else as Questions.
  void Ask(base::NodeIndex node, const proto::ControlRequest& request, base::Duration timeout,
           Questions::OnReply on_reply);
  /// The job is over: tells all members, waits until they have gone, at most farewell_timeout and
  /// for none that is silent, and calls `done`.
  void Finish(const proto::JobOver& over, std::function<void()> done);

  const elastic::MembershipState& state() const { return state_; }
  /// Of all nodes that the job is to have, in their order; without log folders.
  std::vector<proto::NodeStatus> DescribeNodes() const;

 private:
  struct Agent {
    std::unique_ptr<net::Connection> connection;  // null: the local one
    event::Registration hello_timer;              // to its hello, or from a refusal to the end
    std::optional<base::NodeIndex> node;          // once admitted
    int master_port = 0;
    int64_t output_credit = 0;  // bytes that it may still send
    std::string jobs_root;
    std::unique_ptr<RemoteRanks> remote;
    NodeRanks* ranks = nullptr;
    std::unique_ptr<Questions> questions;                 // of a remote one, once admitted
    int answering = 0;                                    // requests that it waits for
    std::optional<elastic::ClockOffset::Estimate> clock;  // ours against its
    std::optional<base::Status> lost;
    base::SteadyTime heard_at{};
    bool is_refused = false;
    bool has_left = false;  // said goodbye, or is heard of no more
  };
  using What = decltype(elastic::MembershipEvent::what);

  void Handle(What what);
  void Do(const elastic::Admit& action);
  void Do(const elastic::Refuse& action);
  void Do(const elastic::Formed& action);
  void Do(const elastic::FormationFailed& action);
  void Do(const elastic::NodeLost& action);
  void Do(const elastic::SetMembershipTimer& action);

  void OnMessage(elastic::Member member, std::string_view payload);
  void OnHello(elastic::Member member, const proto::Hello& hello);
  void OnHeartbeat(elastic::Member member, const proto::Heartbeat& heartbeat);
  void OnOutput(elastic::Member member, const proto::Output& output);
  void OnRequest(elastic::Member member, const proto::ForwardedRequest& request);
  void OnCards(elastic::Member member, const proto::Cards& cards);
  void SendCards(base::NodeIndex node, const proto::ToAgent& message);
  void OnEnded(elastic::Member member, const base::Status& why);
  /// One of this job's agents, or of another's: says why, here too.
  void Refuse(elastic::Member member, const base::Status& why);
  /// Says why, and closes.
  void Reject(elastic::Member member, const base::Status& why);
  void Send(elastic::Member member, const proto::ToAgent& message);
  /// Gives up those whose time is over, and comes again when the next one's is.
  void AwaitFarewells();
  bool IsAwaited(const Agent& agent) const {
    return agent.connection != nullptr && agent.node && !agent.has_left;
  }
  /// Without a goodbye, at the job's end.
  void LeaveEarly(Agent& agent);
  void CheckAllGone();

  const Config config_;
  const Deps deps_;
  base::Sequence seq_;
  elastic::MembershipState state_;
  std::deque<elastic::MembershipEvent> events_;  // emptied by each Handle
  bool stepping_ = false;
  elastic::Member next_member_{1};
  std::unordered_map<elastic::Member, Agent> agents_;
  std::map<base::NodeIndex, elastic::Member> members_;  // of a formed job
  JobCards cards_;
  event::Registration timer_;
  base::SteadyTime over_at_{};
  event::Registration farewell_;
  std::function<void()> done_;
  /// Expires with the coordinator; for answers that come late.
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_CLUSTER_COORDINATOR_H_
