// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/cluster/coordinator.h"

#include <string.h>

#include <algorithm>
#include <string>
#include <utility>

#include "launcher/cluster/hello_check.h"
#include "runtime/base/check.h"
#include "runtime/net/frame.h"
#include "runtime/proto/status_conversion.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;

constexpr base::Duration kRefusalTime = 1s;  // to read why
constexpr int kQuestionsMax = 64;            // of verbs, each way with each member
/// A line that is longer than the credit goes out whole (OutputRelay), one of each stream.
constexpr int64_t kOutputOverdraft = int64_t{256} << 10;

elastic::NodeFacts FactsOf(const proto::Hello& hello) {
  elastic::NodeFacts facts;
  facts.host = hello.host();
  facts.boot_id = hello.boot_id();
  facts.slots = hello.slots();
  facts.wanted = base::NodeIndex(hello.wanted_node() < 0 ? -1 : hello.wanted_node());
  facts.node_count = hello.node_count();
  facts.program_hash = hello.program_hash();
  facts.lockstep_version = hello.lockstep_version();
  facts.addresses.assign(hello.addresses().begin(), hello.addresses().end());
  return facts;
}

}  // namespace

Coordinator::Coordinator(Config config, Deps deps)
    : config_(std::move(config)),
      deps_(deps),
      state_(config_.membership),
      cards_([this](base::NodeIndex node, const proto::ToAgent& message) {
        SendCards(node, message);
      }) {}

size_t Coordinator::HandshakesMax(int node_count) {
  return static_cast<size_t>(std::clamp(node_count + 64, 256, 4096));
}

void Coordinator::Begin() { Handle(elastic::BeginForming{}); }

void Coordinator::JoinLocal(elastic::NodeFacts facts, int master_port, NodeRanks& ranks) {
  const elastic::Member member = next_member_;
  ++next_member_;
  Agent& agent = agents_[member];
  agent.master_port = master_port;
  agent.ranks = &ranks;
  Handle(elastic::Joined{member, std::move(facts), true});
}

void Coordinator::Handle(What what) {
  seq_.AssertHeld();
  events_.push_back({deps_.loop.Now(), std::move(what)});
  if (stepping_) return;
  stepping_ = true;
  while (!events_.empty()) {
    const elastic::MembershipEvent event = std::move(events_.front());
    events_.pop_front();
    elastic::MembershipStep result = elastic::Step(std::move(state_), event);
    state_ = std::move(result.state);
    for (const elastic::MembershipAction& action : result.actions) {
      std::visit([this](const auto& what_to_do) { Do(what_to_do); }, action);
    }
  }
  stepping_ = false;
}

// ------------------------------------------------------------------------------- what was decided

void Coordinator::Do(const elastic::Admit& action) {
  const auto found = agents_.find(action.member);
  if (found == agents_.end()) return;
  Agent& agent = found->second;
  agent.node = action.node;
  if (agent.connection == nullptr) return;
  agent.remote = std::make_unique<RemoteRanks>(RemoteRanks::Deps{
      deps_.loop, deps_.news,
      [this, member = action.member](const proto::ToAgent& message) { Send(member, message); },
      [this, member = action.member](const base::Status& why) {
        Handle(elastic::ConnectionEnded{member, why});
      }});
  agent.ranks = agent.remote.get();
  agent.questions = std::make_unique<Questions>(
      kQuestionsMax, "the agent of node " + action.node.ToString(), deps_.loop);
  proto::ToAgent message;
  *message.mutable_welcome() = deps_.delegate.MakeWelcome();
  message.mutable_welcome()->set_node(action.node.value());
  message.mutable_welcome()->set_heartbeat_ns(config_.lease.heartbeat.count());
  message.mutable_welcome()->set_lease_ns(config_.membership.lease.count());
  Send(action.member, message);
}

void Coordinator::Do(const elastic::Refuse& action) { Refuse(action.member, action.why); }

void Coordinator::Refuse(elastic::Member member, const base::Status& why) {
  Reject(member, why);
  deps_.delegate.OnRefused(why);
}

void Coordinator::Do(const elastic::Formed& action) {
  std::vector<JobNode> nodes;
  JobNode* local = nullptr;
  std::string own_host;
  nodes.reserve(action.nodes.size());
  for (const elastic::Formed::Node& node : action.nodes) {
    const Agent& agent = agents_.at(node.member);
    members_[base::NodeIndex(static_cast<int>(nodes.size()))] = node.member;
    nodes.push_back({node.facts, agent.master_port, agent.jobs_root, agent.ranks, ""});
    if (agent.connection == nullptr) {
      local = &nodes.back();
    } else if (own_host.empty()) {
      own_host = agent.connection->peer().own_host;
    }
  }
  // By which address others reach this machine is what they have shown by coming.
  if (local != nullptr) local->own_host = own_host;
  if (local != nullptr && local->facts.addresses.empty()) local->facts.addresses = {own_host};
  deps_.delegate.OnFormed(nodes);
}

void Coordinator::Do(const elastic::FormationFailed& action) {
  deps_.delegate.OnFormationFailed(action.why);
}

void Coordinator::Do(const elastic::NodeLost& action) {
  Agent& agent = agents_.at(members_.at(action.node));
  if (agent.connection != nullptr) agent.connection->Close();
  agent.lost = action.why;
  if (agent.questions != nullptr) agent.questions->FailAll(action.why);
  // Nobody has to wait until its ranks cannot live any more (action.fenced_at): membership is
  // fixed, so no round follows in which they could do harm.
  if (agent.remote != nullptr) agent.remote->Lose(action.why, deps_.loop.Now());
  deps_.delegate.OnNodeLost(action.node, action.why);
}

void Coordinator::Do(const elastic::SetMembershipTimer& action) {
  timer_ = deps_.loop.At(action.due, [this, generation = action.generation] {
    Handle(elastic::MembershipTimerFired{generation});
  });
}

// --------------------------------------------------------------------------------- what agents say

void Coordinator::Accept(std::unique_ptr<net::Connection> connection) {
  seq_.AssertHeld();
  const elastic::Member member = next_member_;
  ++next_member_;
  Agent& agent = agents_[member];
  agent.connection = std::move(connection);
  agent.hello_timer = deps_.loop.After(config_.hello_timeout, [this, member] {
    Reject(member, base::DeadlineExceededError("no hello came"));
  });
  agent.connection->Start(
      {.on_message = [this, member](std::string_view payload) { OnMessage(member, payload); },
       .on_closed = [this, member](const base::Status& why) { OnEnded(member, why); }});
}

void Coordinator::OnMessage(elastic::Member member, std::string_view payload) {
  seq_.AssertHeld();
  proto::FromAgent message;
  if (!message.ParseFromArray(payload.data(), static_cast<int>(payload.size()))) {
    return Reject(member, base::InvalidArgumentError("not a message of an agent"));
  }
  Agent& agent = agents_.at(member);
  agent.heard_at = deps_.loop.Now();
  if (agent.is_refused) return;
  if (message.kind_case() == proto::FromAgent::kHello) return OnHello(member, message.hello());
  if (!agent.node) {
    return Reject(member, base::FailedPreconditionError("the first message must be a hello"));
  }
  switch (message.kind_case()) {
    case proto::FromAgent::kHeartbeat: return OnHeartbeat(member, message.heartbeat());
    case proto::FromAgent::kRankNews: return agent.remote->OnNews(message.rank_news());
    case proto::FromAgent::kOutput: return OnOutput(member, message.output());
    case proto::FromAgent::kRequest: return OnRequest(member, message.request());
    case proto::FromAgent::kCards: return OnCards(member, message.cards());
    case proto::FromAgent::kStanding:
      return deps_.delegate.OnStanding(*agent.node, message.standing().stands());
    case proto::FromAgent::kReply:
      return agent.questions->Close(message.reply().id(),
                                    std::move(*message.mutable_reply()->mutable_reply()));
    case proto::FromAgent::kGoodbye:
      // That we close tells it that we have heard everything.
      agent.has_left = true;
      agent.connection->Close();
      return CheckAllGone();
    case proto::FromAgent::kHello:
    case proto::FromAgent::KIND_NOT_SET: return;  // the last: of a newer agent
  }
}

void Coordinator::OnHello(elastic::Member member, const proto::Hello& hello) {
  Agent& agent = agents_.at(member);
  if (!agent.hello_timer.active()) {
    return Reject(member, base::FailedPreconditionError("a second hello"));
  }
  agent.hello_timer.reset();
  if (const base::Status sane = CheckHello(hello); !sane.ok()) return Reject(member, sane);
  if (hello.protocol() != kAgentProtocol) {
    return Refuse(
        member, base::FailedPreconditionError(
                    "host " + hello.host() + " speaks version " + std::to_string(hello.protocol()) +
                    " of the agents' protocol, this job " + std::to_string(kAgentProtocol) +
                    "; install the same lockstep on both"));
  }
  if (hello.job_id() != config_.job_id) {
    return Refuse(member, base::FailedPreconditionError(
                              "host " + hello.host() + " is of job " + hello.job_id() +
                              ", this is job " + config_.job_id +
                              "; give all nodes of a job the same --rdzv-id, and jobs that run at "
                              "one time endpoints of their own"));
  }
  // A certificate is for one place; nobody may take another's.
  const std::string& proved = agent.connection->peer().name;
  if (!proved.empty() && proved != NodeName(base::NodeIndex(hello.wanted_node()))) {
    return Reject(member,
                  base::PermissionDeniedError("the certificate of " + proved + " is not for node " +
                                              std::to_string(hello.wanted_node())));
  }
  agent.master_port = hello.master_port();
  agent.jobs_root = hello.jobs_root();
  Handle(elastic::Joined{member, FactsOf(hello), false});
}

void Coordinator::OnHeartbeat(elastic::Member member, const proto::Heartbeat& heartbeat) {
  proto::ToAgent ack;
  ack.mutable_heartbeat_ack()->set_number(heartbeat.number());
  ack.mutable_heartbeat_ack()->set_at_wall_ns(
      deps_.loop.clock().WallNow().time_since_epoch().count());
  ack.mutable_heartbeat_ack()->set_at_steady_ns(deps_.loop.Now().time_since_epoch().count());
  if (heartbeat.has_clock_offset_ns()) {
    agents_.at(member).clock = {base::Duration(heartbeat.clock_offset_ns()),
                                base::Duration(heartbeat.clock_error_ns())};
  }
  Handle(elastic::HeartbeatCame{member});
  // One that is no member (any more) must not go on believing that it is.
  if (state_.IsMember(member)) Send(member, ack);
}

/// Nobody sends more than the console has room for.
void Coordinator::OnOutput(elastic::Member member, const proto::Output& output) {
  Agent& agent = agents_.at(member);
  agent.output_credit -=
      static_cast<int64_t>(output.standard_output().size() + output.standard_error().size());
  if (agent.output_credit < -kOutputOverdraft) {
    return Reject(member, base::ResourceExhaustedError("more output came than there was room for"));
  }
  deps_.delegate.OnOutput(*agent.node, output);
}

void Coordinator::OnCards(elastic::Member member, const proto::Cards& cards) {
  const base::Status taken = cards_.Take(*agents_.at(member).node, cards);
  if (!taken.ok()) Reject(member, taken);
}

void Coordinator::TakeLocalCards(const proto::Cards& cards) {
  seq_.AssertHeld();
  for (const auto& [node, member] : members_) {
    if (agents_.at(member).connection != nullptr) continue;
    const base::Status taken = cards_.Take(node, cards);
    LOCKSTEP_CHECK(taken.ok(), "the agent itself keeps to its protocol");
    return;
  }
}

void Coordinator::SendCards(base::NodeIndex node, const proto::ToAgent& message) {
  const auto found = members_.find(node);
  if (found == members_.end()) return;
  if (agents_.at(found->second).connection == nullptr)
    return deps_.delegate.OnCards(message.cards());
  Send(found->second, message);
}

void Coordinator::OnEnded(elastic::Member member, const base::Status& why) {
  seq_.AssertHeld();
  Handle(elastic::ConnectionEnded{member, why});
  const auto found = agents_.find(member);
  if (found == agents_.end()) return;
  if (found->second.questions != nullptr) {
    found->second.questions->FailAll(
        base::UnavailableError("the agent of node " + found->second.node->ToString() + " is gone"));
  }
  // A member's ranks stay, to answer what is still owed.
  if (!found->second.node || state_.phase == elastic::MembershipPhase::kForming) {
    agents_.erase(found);
  } else if (done_) {
    LeaveEarly(found->second);
  } else {
    found->second.has_left = true;
  }
  CheckAllGone();
}

void Coordinator::OnRequest(elastic::Member member, const proto::ForwardedRequest& request) {
  const auto answer = [this, member, id = request.id()](proto::ControlReply reply) {
    const auto found = agents_.find(member);
    if (found == agents_.end()) return;
    proto::ToAgent message;
    message.mutable_reply()->set_id(id);
    *message.mutable_reply()->mutable_reply() =
        AnswerFor(*found->second.connection, std::move(reply));
    Send(member, message);
  };
  Agent& agent = agents_.at(member);
  if (agent.answering >= kQuestionsMax) {
    return answer(Refusal(base::ResourceExhaustedError("too many requests of this node wait")));
  }
  ++agent.answering;
  deps_.delegate.Answer(request.request(), [this, alive = std::weak_ptr(alive_), member,
                                            answer](proto::ControlReply reply) {
    if (alive.expired()) return;
    if (const auto found = agents_.find(member); found != agents_.end()) {
      --found->second.answering;
    }
    answer(std::move(reply));
  });
}

void Coordinator::Reject(elastic::Member member, const base::Status& why) {
  seq_.AssertHeld();
  const auto found = agents_.find(member);
  if (found == agents_.end() || found->second.connection == nullptr) return;
  found->second.is_refused = true;
  proto::ToAgent message;
  *message.mutable_refused() = proto::ToProto(why);
  Send(member, message);
  // The peer closes when it has read it.
  found->second.hello_timer = deps_.loop.After(
      kRefusalTime, [connection = found->second.connection.get()] { connection->Close(); });
}

// ---------------------------------------------------------------------------- what agents are told

void Coordinator::Send(elastic::Member member, const proto::ToAgent& message) {
  const auto found = agents_.find(member);
  if (found == agents_.end() || found->second.connection == nullptr) return;
  // What cannot be sent closes the connection, and OnEnded follows.
  (void)found->second.connection->Send(message);
}

void Coordinator::SendWorld(const proto::World& world) {
  proto::ToAgent message;
  *message.mutable_world() = world;
  for (const auto& [node, member] : members_) Send(member, message);
  std::string& secret = *message.mutable_world()->mutable_secret();
  ::explicit_bzero(secret.data(), secret.size());
}

void Coordinator::SendForming() {
  proto::ToAgent message;
  message.mutable_forming()->set_nodes_here(static_cast<int32_t>(state_.nodes.size()));
  message.mutable_forming()->set_node_count(state_.config.node_count);
  for (const auto& [member, node] : state_.members) Send(member, message);
}

void Coordinator::SendOutputCredit(base::NodeIndex node, uint64_t bytes) {
  const auto found = members_.find(node);
  if (found == members_.end()) return;
  agents_.at(found->second).output_credit += static_cast<int64_t>(bytes);
  proto::ToAgent message;
  message.set_output_credit(bytes);
  Send(found->second, message);
}

void Coordinator::Ask(base::NodeIndex node, const proto::ControlRequest& request,
                      base::Duration timeout, Questions::OnReply on_reply) {
  seq_.AssertHeld();
  const auto found = members_.find(node);
  if (found == members_.end()) {
    return on_reply(base::NotFoundError("there is no node " + node.ToString() +
                                        ", or it has not joined the job yet"));
  }
  Agent& agent = agents_.at(found->second);
  if (agent.lost) return on_reply(*agent.lost);
  if (agent.questions == nullptr || agent.has_left) {
    return on_reply(base::UnavailableError("the agent of node " + node.ToString() +
                                           " does not answer any more"));
  }
  const uint64_t id = agent.questions->Open(timeout, std::move(on_reply));
  if (id == 0) return;
  proto::ToAgent message;
  message.mutable_request()->set_id(id);
  *message.mutable_request()->mutable_request() = request;
  Send(found->second, message);
}

std::vector<proto::NodeStatus> Coordinator::DescribeNodes() const {
  seq_.AssertHeld();
  std::vector<proto::NodeStatus> nodes(static_cast<size_t>(config_.membership.node_count));
  for (size_t i = 0; i < nodes.size(); ++i) {
    nodes[i].set_node(static_cast<int>(i));
    nodes[i].set_state("awaited");
  }
  for (const auto& [index, node] : state_.nodes) {
    proto::NodeStatus& status = nodes[static_cast<size_t>(index.value())];
    status.set_host(node.facts.host);
    status.set_slots(node.facts.slots);
    status.set_is_coordinator(node.is_local);
    status.set_state(node.lost ? "lost" : "alive");
    const auto agent = agents_.find(node.member);
    if (node.is_local || agent == agents_.end()) continue;
    if (agent->second.lost) status.set_reason(agent->second.lost->message());
    // Its last heartbeat has extended its lease to this.
    const base::SteadyTime heard_at = node.lease_until - config_.membership.lease;
    status.set_heartbeat_age_ns((deps_.loop.Now() - heard_at).count());
    if (!agent->second.clock) continue;
    status.set_clock_offset_ns(agent->second.clock->offset.count());
    status.set_clock_error_ns(agent->second.clock->error.count());
  }
  return nodes;
}

void Coordinator::Finish(const proto::JobOver& over, std::function<void()> done) {
  seq_.AssertHeld();
  done_ = std::move(done);
  Handle(elastic::FinishMembership{});
  proto::ToAgent message;
  *message.mutable_job_over() = over;
  // Of thousands of ranks that did not die. Who reads it elsewhere has the class and the culprits.
  if (message.ByteSizeLong() > net::kFramePayloadBytesMax) {
    message.mutable_job_over()->mutable_verdict()->clear_evidence();
  }
  for (const auto& [member, agent] : agents_) {
    if (agent.node) Send(member, message);
  }
  over_at_ = deps_.loop.Now();
  AwaitFarewells();
}

void Coordinator::AwaitFarewells() {
  const base::Duration silence = std::max(config_.farewell_silence, config_.membership.lease);
  const base::SteadyTime until = over_at_ + config_.farewell_timeout;
  base::SteadyTime next = until;
  for (auto& [member, agent] : agents_) {
    if (!IsAwaited(agent)) continue;
    const base::SteadyTime due = std::min(until, std::max(agent.heard_at, over_at_) + silence);
    if (due <= deps_.loop.Now()) {
      LeaveEarly(agent);
    } else {
      next = std::min(next, due);
    }
  }
  farewell_ = deps_.loop.At(next, [this] { AwaitFarewells(); });
  CheckAllGone();
}

void Coordinator::LeaveEarly(Agent& agent) {
  if (std::exchange(agent.has_left, true)) return;
  if (!agent.lost && members_.contains(*agent.node)) deps_.delegate.OnLeftEarly(*agent.node);
}

void Coordinator::CheckAllGone() {
  if (!done_) return;
  for (const auto& [member, agent] : agents_) {
    if (IsAwaited(agent)) return;
  }
  // From the loop: whoever finishes is not called from within his call.
  farewell_ = deps_.loop.After(base::Duration(0), [this] {
    if (done_) std::exchange(done_, {})();
  });
}

}  // namespace lockstep::launcher
