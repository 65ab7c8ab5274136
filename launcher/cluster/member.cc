// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/cluster/member.h"

#include <string.h>

#include <algorithm>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "launcher/cluster/protocol.h"
#include "launcher/cluster/rank_wire.h"
#include "launcher/cluster/welcome_check.h"
#include "runtime/attach/attach_wire.h"
#include "runtime/proto/status_conversion.h"

namespace lockstep::launcher {
namespace {

constexpr size_t kQuestionsMax = 64;   // of verbs, at a time
constexpr size_t kUnansweredMax = 64;  // heartbeats whose times are kept
constexpr int kSignalMax = 64;
/// While more than so much is on its way, news of ranks waits: heartbeats are not to come behind
/// all of it, and thousands of ranks that fail at once would fill the connection's queue, which
/// ends it. Beyond what lines for the console may take of it (JobCluster's credit): over a slow
/// link they alone would keep it waiting for as long as ranks write.
constexpr size_t kNewsQueuedMax = (size_t{3} << 19) + (size_t{256} << 10);
constexpr base::Duration kNewsPause = std::chrono::milliseconds(5);
/// No grace or deadline of a job is longer (job.proto).
constexpr base::Duration kDurationMax = std::chrono::hours(24);

/// First rank and count of node `node`; nothing when that is no world with this node in it.
std::optional<std::pair<int, int>> PlaceIn(const proto::World& world, int node) {
  if (world.nodes_size() > kNodesMax || node < 0 || node >= world.nodes_size()) return std::nullopt;
  std::pair<int, int> place{0, 0};
  int ranks = 0;
  for (int index = 0; index < world.nodes_size(); ++index) {
    const int slots = world.nodes(index).slots();
    if (slots < 1 || slots > kSlotsMax || ranks + slots > kRanksMax) return std::nullopt;
    if (index == node) place = {ranks, slots};
    ranks += slots;
  }
  return place;
}

/// As ClockOffset compares them.
base::WallTime Reading(base::SteadyTime time) { return base::WallTime(time.time_since_epoch()); }
/// Of a clock elsewhere, which may say anything; with our own it adds up to a time.
base::WallTime Reading(int64_t nanoseconds) {
  return base::WallTime(base::Duration(std::clamp<int64_t>(nanoseconds, 0, INT64_MAX / 2)));
}

base::Status Nonsense(const std::string& what) {
  return base::DataLossError("the coordinator " + what);
}

base::Duration Bounded(int64_t nanoseconds) {
  return std::clamp(base::Duration(nanoseconds), base::Duration(0), kDurationMax);
}

}  // namespace

Member::Member(Config config, Deps deps)
    : config_(std::move(config)),
      deps_(deps),
      questions_(kQuestionsMax, "the coordinator", deps.loop) {}

void Member::Start(std::unique_ptr<net::Connection> connection) {
  seq_.AssertHeld();
  connection_ = std::move(connection);
  connection_->Start({.on_message = [this](std::string_view payload) { OnMessage(payload); },
                      .on_closed = [this](const base::Status& why) { OnClosed(why); }});
  welcome_timer_ = deps_.loop.After(config_.welcome_timeout, [this] {
    Fail(base::DeadlineExceededError("the coordinator at " + connection_->peer().address +
                                     " has not answered our hello"));
  });
  // The certificates of the other nodes are as good, but they may speak for themselves alone.
  const net::Peer& peer = connection_->peer();
  if (!peer.name.empty() && peer.name != kCoordinatorName) {
    return Fail(base::PermissionDeniedError("what answers at " + peer.address + " is " + peer.name +
                                            " and not the coordinator"));
  }
  hello_sent_at_ = deps_.loop.Now();
  proto::FromAgent message;
  *message.mutable_hello() = config_.hello;
  if (config_.hello.addresses().empty()) message.mutable_hello()->add_addresses(peer.own_host);
  Send(message);
}

// ----------------------------------------------------------------------- what the coordinator says

void Member::OnMessage(std::string_view payload) {
  seq_.AssertHeld();
  if (lost_) return;
  proto::ToAgent message;
  if (!message.ParseFromArray(payload.data(), static_cast<int>(payload.size()))) {
    return Fail(base::DataLossError("the coordinator sent what is no message"));
  }
  const bool welcomed = ranks_ != nullptr;
  switch (message.kind_case()) {
    case proto::ToAgent::kWelcome:
      if (!welcomed && !over_) OnWelcome(message.welcome());
      return;
    case proto::ToAgent::kRefused: return Fail(proto::FromProto(message.refused()));
    case proto::ToAgent::kHeartbeatAck: return OnAck(message.heartbeat_ack());
    case proto::ToAgent::kForming:
      if (welcomed) deps_.delegate.OnForming(message.forming());
      return;
    case proto::ToAgent::kWorld:
      if (welcomed && !over_) OnWorld(*message.mutable_world());
      return;
    case proto::ToAgent::kCommand:
      if (welcomed && !over_) OnCommand(message.command());
      return;
    case proto::ToAgent::kOutputCredit:
      return deps_.delegate.OnOutputCredit(message.output_credit());
    case proto::ToAgent::kCards:
      if (welcomed && !over_) deps_.delegate.OnCards(message.cards());
      return;
    case proto::ToAgent::kRequest: return OnRequest(message.request());
    case proto::ToAgent::kReply:
      return questions_.Close(message.reply().id(),
                              std::move(*message.mutable_reply()->mutable_reply()));
    case proto::ToAgent::kJobOver:
      if (!over_) OnJobOver(message.job_over());
      return;
    case proto::ToAgent::KIND_NOT_SET: return;  // of a newer coordinator
  }
}

void Member::OnWelcome(const proto::Welcome& welcome) {
  welcome_timer_.reset();
  const int wanted = config_.hello.wanted_node();
  if (welcome.node() < 0 || (wanted >= 0 && welcome.node() != wanted)) {
    return Fail(Nonsense("takes node " + std::to_string(wanted) + " for node " +
                         std::to_string(welcome.node())));
  }
  if (const base::Status sane = CheckWelcome(welcome); !sane.ok()) return Fail(sane);
  base::Result<NodeRanks*> ranks = deps_.delegate.OnWelcome(welcome);
  if (!ranks.ok()) return Fail(ranks.status());
  ranks_ = *ranks;
  node_ = welcome.node();
  Handle(elastic::LeaseGranted{
      {base::Duration(welcome.heartbeat_ns()), base::Duration(welcome.lease_ns())},
      hello_sent_at_});
}

void Member::OnWorld(proto::World& world) {
  if (rank_count_ > 0) return;  // membership is fixed
  const std::optional<std::pair<int, int>> place = PlaceIn(world, node_);
  if (!place) return Fail(Nonsense("sent a world in which this node has no place"));
  std::tie(first_rank_, rank_count_) = *place;
  deps_.delegate.OnWorld(world);
  std::string& secret = *world.mutable_secret();
  ::explicit_bzero(secret.data(), secret.size());
}

void Member::OnJobOver(const proto::JobOver& over) {
  over_ = true;
  KillAll();  // of a coordinator that has ended its gang nothing lives here
  deps_.delegate.OnJobOver(over);
}

void Member::OnAck(const proto::HeartbeatAck& ack) {
  if (const auto asked = asked_at_.find(ack.number()); asked != asked_at_.end()) {
    offset_.Observe(asked->second.wall, Reading(ack.at_wall_ns()), deps_.loop.clock().WallNow());
    steady_offset_.Observe(Reading(asked->second.steady), Reading(ack.at_steady_ns()),
                           Reading(deps_.loop.Now()));
    asked_at_.erase(asked_at_.begin(), std::next(asked));
    TellClockOffset();
  }
  Handle(elastic::HeartbeatAcked{ack.number()});
}

void Member::TellClockOffset() {
  const auto offset = offset_.Get();
  if (!offset || (told_offset_ && !elastic::ClockOffset::IsNews(*told_offset_, *offset))) return;
  told_offset_ = offset;
  deps_.delegate.OnClockOffset(*offset);
}

void Member::OnCommand(const proto::RankCommand& command) {
  NodeRanks::Processes processes;
  for (const proto::RankProcess& process : command.processes()) {
    processes.push_back(FromWire(process));
    const int index = process.rank() - first_rank_;
    if (process.rank() < first_rank_ || index >= rank_count_)
      return Fail(
          Nonsense("ordered rank " + std::to_string(process.rank()) + ", which is not ours"));
  }
  if (command.kind_case() == proto::RankCommand::kStart) return OnStart(command, processes);
  if (!round_ || command.round() != round_->value())
    return;  // of a round that is not here (any more)
  const auto is_signal = [](int signal) { return signal >= 1 && signal <= kSignalMax; };
  switch (command.kind_case()) {
    case proto::RankCommand::kSignalLeaders:
      if (is_signal(command.signal_leaders()))
        ranks_->SignalLeaders(command.signal_leaders(), processes);
      return;
    case proto::RankCommand::kSignalTrees:
      if (is_signal(command.signal_trees())) ranks_->SignalTrees(command.signal_trees(), processes);
      return;
    case proto::RankCommand::kKillTrees:
      return ranks_->KillTrees(processes, Bounded(command.kill_trees()));
    case proto::RankCommand::kCancelStarts: return ranks_->CancelSpawns();
    case proto::RankCommand::kForwardSignal:
      if (is_signal(command.forward_signal())) ranks_->ForwardSignal(command.forward_signal());
      return;
    case proto::RankCommand::kRequestStop:
      return ranks_->RequestStop(Bounded(command.request_stop()));
    case proto::RankCommand::kNextRound: return OnNextRound(command.next_round());
    case proto::RankCommand::kEndRound:
      if (!living_.empty()) return Fail(Nonsense("ended a round whose ranks live"));
      in_round_ = false;
      return ranks_->EndRound();
    case proto::RankCommand::kStart:
    case proto::RankCommand::KIND_NOT_SET: return;
  }
}

void Member::OnNextRound(const proto::NextRound& next) {
  const base::Round round(next.round());
  if (!in_round_ || round <= membership_round_) return;  // said again, or long ago
  if (next.gone_size() > static_cast<int>(LOCKSTEP_ATTACH_MAX_MEMBERS))
    return Fail(Nonsense("took more ranks from a round than a job has"));
  std::vector<elastic::GoneRank> gone;
  for (const proto::GoneRank& rank : next.gone()) gone.push_back(FromWire(rank));
  membership_round_ = round;
  ranks_->GoOn(round, gone);
}

void Member::OnStart(const proto::RankCommand& command, const NodeRanks::Processes& processes) {
  // Ranks without a lease would have nobody who answers for them.
  if (!lease_.HeldAt(deps_.loop.Now())) return;
  const base::Round round(command.round());
  if (round_ && round <= membership_round_) return;  // said again, or long ago
  if (in_round_) return Fail(Nonsense("began a round before the end of the last"));
  std::set<Key> starting;
  for (const elastic::RankProcess& process : processes) {
    if (!starting.emplace(process.rank, process.incarnation).second)
      return Fail(Nonsense("ordered rank " + process.rank.ToString() + " twice"));
  }
  SendNews();
  round_ = membership_round_ = round;
  in_round_ = true;
  living_ = std::move(starting);
  to_spawn_ = processes.size();
  ranks_->Spawn(round, command.start().restart_count(), processes);
}

void Member::OnClosed(const base::Status& why) {
  if (farewell_) {
    give_up_.reset();
    return std::exchange(farewell_, {})();
  }
  if (over_) return;
  base::Status lost = base::UnavailableError("the connection to the coordinator is gone");
  Handle(elastic::CoordinatorGone{why.ok() ? lost : lost.WithCause(why)});
  // Before the welcome there is no lease to lose.
  if (!lost_) Fail(why.ok() ? lost : lost.WithCause(why));
}

// ------------------------------------------------------------------------------------------- lease

void Member::Handle(What what) {
  seq_.AssertHeld();
  elastic::LeaseStep result = elastic::Step(std::move(lease_), {deps_.loop.Now(), std::move(what)});
  lease_ = std::move(result.state);
  for (const elastic::LeaseAction& action : result.actions) {
    std::visit([this](const auto& what_to_do) { Do(what_to_do); }, action);
  }
}

void Member::Do(const elastic::SendHeartbeat& action) {
  const base::WallTime now = deps_.loop.clock().WallNow();
  asked_at_[action.number] = {now, deps_.loop.Now()};
  if (asked_at_.size() > kUnansweredMax) asked_at_.erase(asked_at_.begin());
  proto::FromAgent message;
  message.mutable_heartbeat()->set_number(action.number);
  message.mutable_heartbeat()->set_sent_at_wall_ns(now.time_since_epoch().count());
  if (const auto offset = offset_.Get()) {
    message.mutable_heartbeat()->set_clock_offset_ns(offset->offset.count());
    message.mutable_heartbeat()->set_clock_error_ns(offset->error.count());
  }
  Send(message);
}

void Member::Do(const elastic::Fence& action) { Fail(action.why); }

void Member::Do(const elastic::SetLeaseTimer& action) {
  lease_timer_ = deps_.loop.At(action.due, [this, generation = action.generation] {
    Handle(elastic::LeaseTimerFired{generation});
  });
}

void Member::Fail(const base::Status& why) {
  if (lost_ || over_) return;
  lost_ = why;
  welcome_timer_.reset();
  lease_timer_.reset();
  if (connection_ != nullptr) connection_->Close();
  questions_.FailAll(why);
  KillAll();
  // Those that do not die do not keep us either.
  give_up_ =
      deps_.loop.After(config_.kill_deadline + base::Duration(std::chrono::seconds(1)), [this] {
        living_.clear();
        CheckFenced();
      });
  CheckFenced();
}

void Member::KillAll() {
  if (ranks_ == nullptr || living_.empty()) return;
  NodeRanks::Processes all;
  for (const auto& [rank, incarnation] : living_) all.push_back({rank, incarnation});
  ranks_->CancelSpawns();
  ranks_->KillTrees(all, config_.kill_deadline);
}

void Member::CheckFenced() {
  if (!lost_ || over_ || !living_.empty()) return;
  over_ = true;
  // From the loop: nobody is told from within his own call.
  give_up_ = deps_.loop.After(base::Duration(0), [this] {
    if (ranks_ != nullptr) ranks_->EndRound();
    deps_.delegate.OnMembershipLost(*lost_);
  });
}

// ------------------------------------------------------------------------------- news of our ranks

void Member::OnSpawned(const elastic::RankProcess& process, pid_t pid) {
  News(process).mutable_runs()->set_pid(pid);
  if (to_spawn_ > 0 && --to_spawn_ == 0) deps_.delegate.OnAllSpawned();
  if ((lost_ || over_) && ranks_ != nullptr) ranks_->KillTrees({process}, config_.kill_deadline);
}

void Member::OnSpawnFailed(const elastic::RankProcess& process, const base::Status& error) {
  *News(process).mutable_not_started() = proto::ToProto(error);
  living_.erase({process.rank, process.incarnation});
  CheckFenced();
}

void Member::OnExited(const elastic::RankProcess& process, RankEnd end) {
  proto::RankEnded& ended = *News(process).mutable_ended();
  ToWire(end, ended);
  const auto offset = steady_offset_.GetAt(Reading(deps_.loop.Now()));
  if (!offset) return;
  const base::WallTime theirs = Reading(deps_.loop.Now()) + offset->offset;
  ended.set_at_steady_ns(theirs.time_since_epoch().count());
  ended.set_at_error_ns(offset->error.count());
}

void Member::OnGone(const elastic::RankProcess& process) {
  News(process).set_gone(true);
  living_.erase({process.rank, process.incarnation});
  CheckFenced();
}

void Member::OnUnkillable(const elastic::RankProcess& process, const base::Status& error) {
  *News(process).mutable_unkillable() = proto::ToProto(error);
  living_.erase({process.rank, process.incarnation});
  CheckFenced();
}

void Member::OnProgress(const elastic::RankProcess& process, int64_t step) {
  seq_.AssertHeld();
  news_.SetStep(round(), process, step);
  if (!send_news_.active()) SendNewsSoon(base::Duration(0));
}

void Member::OnAccused(const elastic::RankProcess& by, const elastic::GoneRank& accused) {
  ToWire(accused, *News(by).mutable_accuses());
}

proto::RankChange& Member::News(const elastic::RankProcess& process) {
  seq_.AssertHeld();
  if (!send_news_.active()) SendNewsSoon(base::Duration(0));
  return news_.Add(round(), process);
}

void Member::SendNewsSoon(base::Duration pause) {
  send_news_ = deps_.loop.After(pause, [this] { SendNews(); });
}

void Member::SendNews() {
  send_news_.reset();
  while (!news_.empty()) {
    if (!lost_ && connection_ != nullptr && connection_->queued_bytes() > kNewsQueuedMax) {
      return SendNewsSoon(kNewsPause);
    }
    proto::FromAgent message;
    *message.mutable_rank_news() = news_.Take();
    Send(message);
  }
}

// ------------------------------------------------------------------------------ to the coordinator

void Member::Send(const proto::FromAgent& message) {
  // What cannot be sent closes the connection, and OnClosed follows.
  if (!lost_ && connection_ != nullptr) (void)connection_->Send(message);
}

void Member::SendOutput(proto::Output& output) {
  seq_.AssertHeld();
  proto::FromAgent message;
  message.mutable_output()->Swap(&output);
  Send(message);
  message.mutable_output()->Swap(&output);
}

void Member::SendCards(const proto::Cards& cards) {
  seq_.AssertHeld();
  proto::FromAgent message;
  *message.mutable_cards() = cards;
  Send(message);
}

void Member::SendStanding(bool stands) {
  seq_.AssertHeld();
  proto::FromAgent message;
  message.mutable_standing()->set_stands(stands);
  Send(message);
}

void Member::Ask(const proto::ControlRequest& request, base::Duration timeout,
                 Questions::OnReply on_reply) {
  seq_.AssertHeld();
  if (lost_) return on_reply(*lost_);
  if (connection_ == nullptr) {
    return on_reply(base::UnavailableError("this agent has not reached the coordinator yet"));
  }
  const uint64_t id = questions_.Open(timeout, std::move(on_reply));
  if (id == 0) return;
  proto::FromAgent message;
  message.mutable_request()->set_id(id);
  *message.mutable_request()->mutable_request() = request;
  Send(message);
}

void Member::OnRequest(const proto::ForwardedRequest& request) {
  const auto answer = [this, id = request.id()](proto::ControlReply reply) {
    proto::FromAgent message;
    message.mutable_reply()->set_id(id);
    *message.mutable_reply()->mutable_reply() = AnswerFor(*connection_, std::move(reply));
    Send(message);
  };
  if (answering_ >= static_cast<int>(kQuestionsMax)) {
    return answer(Refusal(base::ResourceExhaustedError("too many requests wait for this node")));
  }
  ++answering_;
  deps_.delegate.AnswerHere(
      request.request(), [this, alive = std::weak_ptr(alive_), answer](proto::ControlReply reply) {
        if (alive.expired()) return;
        --answering_;
        answer(std::move(reply));
      });
}

void Member::SayGoodbye(base::Duration timeout, std::function<void()> done) {
  seq_.AssertHeld();
  SendNews();
  farewell_ = std::move(done);
  const bool is_heard = lost_ || connection_ == nullptr || connection_->closed();
  give_up_ = deps_.loop.After(is_heard ? base::Duration(0) : timeout,
                              [this] { std::exchange(farewell_, {})(); });
  proto::FromAgent message;
  message.mutable_goodbye();
  Send(message);
}

}  // namespace lockstep::launcher
