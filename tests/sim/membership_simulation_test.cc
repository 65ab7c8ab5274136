// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// A coordinator and its agents on a network that fails at random, against what must hold whatever
// fails: membership and leases as they are, drivers of this file's own. A schedule is its seed:
// LOCKSTEP_SEED=n runs that one alone; LOCKSTEP_SOAK runs 100,000.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "elastic/lease.h"
#include "elastic/membership.h"
#include "runtime/base/clock.h"
#include "runtime/base/random.h"
#include "runtime/base/status.h"
#include "runtime/event/sim_loop.h"
#include "runtime/net/network.h"
#include "runtime/net/sim_network.h"
#include "runtime/proto/agent.pb.h"

namespace lockstep {
namespace {

using base::Duration;
using base::Random;
using base::SteadyTime;
using elastic::Member;
using net::SimNetwork;
using namespace std::chrono_literals;

constexpr Duration kJoinDeadline = 15s;  // of the job, and of an agent that finds no job
constexpr Duration kFaultsLast = 20s;
constexpr Duration kJobLasts = 25s;
/// From the end of the job to that of its coordinator: agents that have not gone lose it then.
constexpr Duration kFarewell = 5s;
/// Until the last agent has ended: its connection times out after 20 s, then it tries to join.
constexpr Duration kPatience = 120s;

std::string HostName(int host) { return "h" + std::to_string(host); }

/// Holds the membership of one job, on host 0, and listens there.
class Coordinator {
 public:
  Coordinator(event::SimLoop& loop, SimNetwork& net, const std::string& job, int node_count)
      : loop_(loop),
        job_(job),
        network_(net.Join(HostName(0), {.job = job, .name = "coordinator"})),
        state_({.node_count = node_count, .join_deadline = kJoinDeadline}) {
    listener_ =
        network_
            ->Listen({}, [this](std::unique_ptr<net::Connection> made) { Accept(std::move(made)); })
            .value();
    endpoint_ = listener_->endpoint();
    Tell(elastic::BeginForming{});
    const Member own(next_member_++);
    Tell(elastic::Joined{own, Facts(HostName(0)), true});
  }

  static elastic::NodeFacts Facts(const std::string& host) {
    return {.host = host, .boot_id = host, .slots = 1, .lockstep_version = "1"};
  }

  const net::Endpoint& endpoint() const { return endpoint_; }
  bool formed() const { return formed_; }
  bool over() const { return over_; }
  /// When each lost host is fenced.
  const std::map<std::string, SteadyTime>& fenced_at() const { return fenced_at_; }
  std::function<void(const std::string& host)> on_lost;

  void Finish() {
    if (std::exchange(over_, true)) return;
    Tell(elastic::FinishMembership{});
    proto::ToAgent message;
    message.mutable_job_over();
    for (auto& [member, peer] : peers_) (void)peer.connection->Send(message);
    end_ = loop_.After(kFarewell, [this] {
      peers_.clear();
      listener_.reset();
    });
  }

 private:
  struct Peer {
    std::unique_ptr<net::Connection> connection;
    std::string host;
  };

  template <class What>
  void Tell(What what) {
    elastic::MembershipStep step = Step(std::move(state_), {loop_.Now(), std::move(what)});
    state_ = std::move(step.state);
    for (const elastic::MembershipAction& action : step.actions) {
      std::visit([this](const auto& one) { this->Do(one); }, action);
    }
  }

  void Accept(std::unique_ptr<net::Connection> made) {
    const Member member(next_member_++);
    Peer& peer = peers_[member];
    peer.connection = std::move(made);
    peer.connection->Start(
        {.on_message = [this, member](std::string_view payload) { Hear(member, payload); },
         .on_closed =
             [this, member](base::Status why) {
               Tell(elastic::ConnectionEnded{member, std::move(why)});
               peers_.erase(member);
             }});
  }

  void Hear(Member member, std::string_view payload) {
    proto::FromAgent message;
    ASSERT_TRUE(message.ParseFromArray(payload.data(), static_cast<int>(payload.size())));
    if (message.has_hello()) {
      EXPECT_EQ(message.hello().job_id(), job_) << "an agent of another job came through";
      peers_.at(member).host = message.hello().host();
      return Tell(elastic::Joined{member, Facts(message.hello().host()), false});
    }
    Tell(elastic::HeartbeatCame{member});
    if (!state_.IsMember(member)) return;
    proto::ToAgent ack;
    ack.mutable_heartbeat_ack()->set_number(message.heartbeat().number());
    (void)peers_.at(member).connection->Send(ack);
  }

  void Do(const elastic::Admit& action) {
    const auto peer = peers_.find(action.member);
    if (peer == peers_.end()) return;  // our own
    proto::ToAgent message;
    message.mutable_welcome()->set_node(action.node.value());
    const elastic::LeaseConfig defaults;
    message.mutable_welcome()->set_heartbeat_ns(defaults.heartbeat.count());
    message.mutable_welcome()->set_lease_ns(state_.config.lease.count());
    (void)peer->second.connection->Send(message);
  }
  void Do(const elastic::Refuse& action) {
    proto::ToAgent message;
    message.mutable_refused();
    net::Connection& connection = *peers_.at(action.member).connection;
    (void)connection.Send(message);
    connection.Close();
  }
  void Do(const elastic::Formed& action) {
    EXPECT_FALSE(std::exchange(formed_, true));
    std::set<std::string> hosts;
    proto::ToAgent message;
    message.mutable_world();
    for (const elastic::Formed::Node& node : action.nodes) {
      EXPECT_TRUE(hosts.insert(node.facts.host).second) << "a host twice";
      members_.emplace(hosts.size() - 1, node.member);
      const auto peer = peers_.find(node.member);
      if (peer != peers_.end()) (void)peer->second.connection->Send(message);
    }
    EXPECT_EQ(static_cast<int>(hosts.size()), state_.config.node_count);
  }
  void Do(const elastic::FormationFailed& action) {
    EXPECT_FALSE(formed_);
    EXPECT_FALSE(action.why.ok());
    // Not within the step that says so.
    end_ = loop_.After(0s, [this] { Finish(); });
  }
  void Do(const elastic::NodeLost& action) {
    EXPECT_TRUE(formed_);
    EXPECT_GE(action.fenced_at, loop_.Now());
    const auto peer = peers_.find(members_.at(static_cast<size_t>(action.node.value())));
    ASSERT_NE(peer, peers_.end());
    const std::string host = peer->second.host;
    EXPECT_TRUE(fenced_at_.emplace(host, action.fenced_at).second) << host << " was lost twice";
    on_lost(host);
    peer->second.connection->Close();
    // The job ends when the last lost node is fenced, as the gang's teardown does.
    const SteadyTime ends_at =
        std::max_element(fenced_at_.begin(), fenced_at_.end(), [](const auto& a, const auto& b) {
          return a.second < b.second;
        })->second;
    end_ = loop_.At(ends_at, [this] { Finish(); });
  }
  void Do(const elastic::SetMembershipTimer& action) {
    EXPECT_GE(action.due, loop_.Now());
    timer_ = loop_.At(action.due, [this, generation = action.generation] {
      Tell(elastic::MembershipTimerFired{generation});
    });
  }

  event::SimLoop& loop_;
  const std::string job_;
  const std::unique_ptr<net::Network> network_;
  elastic::MembershipState state_;
  std::unique_ptr<net::Listener> listener_;
  net::Endpoint endpoint_;
  std::map<Member, Peer> peers_;
  std::map<size_t, Member> members_;  // of the job that has formed, by node
  std::map<std::string, SteadyTime> fenced_at_;
  uint64_t next_member_ = 0;
  bool formed_ = false;
  bool over_ = false;
  event::Registration timer_;
  event::Registration end_;
};

/// Of one host: connects, joins, runs ranks from World on while its lease holds, and ends.
class Agent {
 public:
  Agent(event::SimLoop& loop, SimNetwork& net, int host, const std::string& job,
        net::Endpoint coordinator)
      : loop_(loop),
        host_(HostName(host)),
        job_(job),
        coordinator_(std::move(coordinator)),
        network_(net.Join(host_, {.job = job, .name = host_})),
        join_until_(loop.Now() + kJoinDeadline) {
    Connect();
  }

  const std::string& host() const { return host_; }
  bool ended() const { return ended_; }
  bool WasLetIn() const { return let_in_; }
  const std::string& job() const { return job_; }
  bool RunsRanks() const { return !ended_ && in_world_ && lease_.HeldAt(loop_.Now()); }
  /// Its host dies.
  void Die() { End(); }

 private:
  void Connect() {
    if (loop_.Now() >= join_until_) return End();
    lease_ = {};
    connection_.reset();
    connecting_ = network_->Connect({coordinator_}, join_until_ - loop_.Now(),
                                    [this](base::Result<std::unique_ptr<net::Connection>> made) {
                                      if (!made.ok()) return End();
                                      Greet(std::move(made).value());
                                    });
  }

  void Greet(std::unique_ptr<net::Connection> made) {
    connection_ = std::move(made);
    asked_at_ = loop_.Now();
    proto::FromAgent message;
    message.mutable_hello()->set_job_id(job_);
    message.mutable_hello()->set_host(host_);
    connection_->Start({.on_message = [this](std::string_view payload) { Hear(payload); },
                        .on_closed = [this](base::Status why) { OnClosed(std::move(why)); }});
    (void)connection_->Send(message);
    // Whoever never gets an answer gives up at the deadline.
    give_up_ = loop_.At(join_until_, [this] {
      if (lease_.phase == elastic::LeasePhase::kUnleased) End();
    });
  }

  void Hear(std::string_view payload) {
    if (ended_) return;
    proto::ToAgent message;
    ASSERT_TRUE(message.ParseFromArray(payload.data(), static_cast<int>(payload.size())));
    switch (message.kind_case()) {
      case proto::ToAgent::kWelcome:
        let_in_ = true;
        return Tell(elastic::LeaseGranted{{.heartbeat = Duration(message.welcome().heartbeat_ns()),
                                           .lease = Duration(message.welcome().lease_ns())},
                                          asked_at_});
      case proto::ToAgent::kHeartbeatAck:
        return Tell(elastic::HeartbeatAcked{message.heartbeat_ack().number()});
      case proto::ToAgent::kWorld: in_world_ = true; return;
      case proto::ToAgent::kJobOver: return End();
      case proto::ToAgent::kRefused: return ReconnectOrEnd();
      default: ADD_FAILURE() << "an unknown message";
    }
  }

  void OnClosed(base::Status why) {
    if (ended_) return;
    if (lease_.phase == elastic::LeasePhase::kUnleased) return ReconnectOrEnd();
    Tell(elastic::CoordinatorGone{std::move(why)});
  }

  template <class What>
  void Tell(What what) {
    elastic::LeaseStep step = Step(std::move(lease_), {loop_.Now(), std::move(what)});
    lease_ = std::move(step.state);
    for (const elastic::LeaseAction& action : step.actions) {
      std::visit([this](const auto& one) { this->Do(one); }, action);
    }
  }
  void Do(const elastic::SendHeartbeat& action) {
    proto::FromAgent message;
    message.mutable_heartbeat()->set_number(action.number);
    (void)connection_->Send(message);
  }
  void Do(const elastic::Fence&) { ReconnectOrEnd(); }
  void Do(const elastic::SetLeaseTimer& action) {
    timer_ = loop_.At(action.due, [this, generation = action.generation] {
      Tell(elastic::LeaseTimerFired{generation});
    });
  }

  /// Whoever is not in a world yet may come again.
  void ReconnectOrEnd() {
    if (in_world_) return End();
    timer_.reset();
    again_ = loop_.After(200ms, [this] { Connect(); });
  }

  void End() {
    ended_ = true;
    timer_.reset();
    again_.reset();
    // What is on its way to this agent still comes; nothing of it may act.
  }

  event::SimLoop& loop_;
  const std::string host_;
  const std::string job_;
  const net::Endpoint coordinator_;
  const std::unique_ptr<net::Network> network_;
  const SteadyTime join_until_;
  std::unique_ptr<net::Connecting> connecting_;
  std::unique_ptr<net::Connection> connection_;
  SteadyTime asked_at_{};
  elastic::LeaseState lease_;
  event::Registration timer_;
  event::Registration again_;
  event::Registration give_up_;
  bool in_world_ = false;
  bool ended_ = false;
  bool let_in_ = false;
};

class Simulation {
 public:
  explicit Simulation(uint64_t seed)
      : random_(seed),
        net_(loop_, random_.Next()),
        node_count_(2 + static_cast<int>(random_.Below(4))),
        coordinator_(loop_, net_, "job", node_count_) {
    coordinator_.on_lost = [this](const std::string& host) {
      EXPECT_TRUE(disturbed_.contains(host)) << host << " was lost, and nothing had happened to it";
      At(coordinator_.fenced_at().at(host), [this] { Check(); });
    };
  }

  void Run() {
    for (int host = 1; host < node_count_; ++host) {
      After(Upto(Chance(20) ? 12s : 1s), [this, host] { AddAgent(host, "job"); });
    }
    if (Chance(10)) After(Upto(2s), [this] { AddAgent(1, "another job"); });
    if (Chance(10)) MakeHostile();
    if (Chance(90)) PlanFaults();
    After(kJobLasts, [this] { coordinator_.Finish(); });
    while (loop_.Now() < SteadyTime(1s) + kPatience && !::testing::Test::HasFailure()) {
      Check();
      loop_.RunFor(100ms);
    }
    EXPECT_TRUE(coordinator_.over());
    for (const auto& agent : agents_) {
      EXPECT_TRUE(agent->ended()) << agent->host() << " runs on";
      EXPECT_FALSE(agent->WasLetIn() && agent->job() != "job") << "an agent of another job is in";
    }
    EXPECT_TRUE(!disturbed_.empty() || coordinator_.formed());
  }

  bool formed() const { return coordinator_.formed(); }
  bool lost() const { return !coordinator_.fenced_at().empty(); }

 private:
  bool Chance(int percent) { return random_.Below(100) < static_cast<uint64_t>(percent); }
  Duration Upto(Duration limit) {
    return Duration(static_cast<int64_t>(random_.Below(static_cast<uint64_t>(limit.count()) + 1)));
  }
  void At(SteadyTime due, std::function<void()> what) {
    plans_.push_back(loop_.At(due, std::move(what)));
  }
  void After(Duration delay, std::function<void()> what) {
    At(loop_.Now() + delay, std::move(what));
  }

  void AddAgent(int host, const std::string& job) {
    if (dead_.contains(HostName(host))) return;
    agents_.push_back(std::make_unique<Agent>(loop_, net_, host, job, coordinator_.endpoint()));
  }

  /// Nobody runs ranks on a node that the coordinator holds for fenced.
  void Check() {
    for (const auto& agent : agents_) {
      const auto fenced = coordinator_.fenced_at().find(agent->host());
      EXPECT_FALSE(fenced != coordinator_.fenced_at().end() && fenced->second <= loop_.Now() &&
                   agent->RunsRanks())
          << agent->host() << " runs ranks, and is fenced";
    }
  }

  /// Messages that come twice, late or not at all: no TCP, and no reason to break a promise.
  void MakeHostile() {
    for (int host = 1; host < node_count_; ++host) disturbed_.insert(HostName(host));
    SimNetwork::Path path;
    path.dropped_percent = 5;
    path.duplicated_percent = 10;
    path.reordered_percent = 10;
    net_.SetAllPaths(path);
  }

  void PlanFaults() {
    do {
      const int host = 1 + static_cast<int>(random_.Below(static_cast<uint64_t>(node_count_ - 1)));
      After(Upto(kFaultsLast), [this, name = HostName(host)] { Fail(name); });
    } while (Chance(60));
  }

  void Fail(const std::string& host) {
    const std::string hub = HostName(0);
    disturbed_.insert(host);
    switch (random_.Below(9)) {
      case 0: net_.Partition(host, hub); break;
      case 1: net_.Cut(host, hub); break;
      case 2: net_.Cut(hub, host); break;
      case 3: net_.Reset(host, hub); break;
      case 4: net_.HalfOpen(host, hub); break;
      case 5: net_.HalfOpen(hub, host); break;
      case 6: return Die(host);
      case 7: {
        SimNetwork::Path slow;
        slow.latency_max = Upto(3s);
        if (Chance(30)) slow.bytes_per_second = 20 + random_.Below(1000);
        net_.SetPath(host, hub, slow);
        if (Chance(50)) net_.SetPath(hub, host, slow);
        break;
      }
      default:
        net_.RefuseConnects(hub, true);
        for (int other = 1; other < node_count_; ++other) disturbed_.insert(HostName(other));
        After(Upto(3s), [this, hub] { net_.RefuseConnects(hub, false); });
        return;
    }
    if (Chance(70)) After(Upto(5s), [this, host, hub] { net_.Heal(host, hub); });
  }

  void Die(const std::string& host) {
    if (!dead_.insert(host).second) return;
    const bool silent = Chance(50);
    net_.Die(host, silent ? SimNetwork::Death::kSilent : SimNetwork::Death::kReset);
    for (const auto& agent : agents_) {
      if (agent->host() == host) agent->Die();
    }
    if (silent && Chance(50)) After(Upto(5s), [this, host] { net_.Boot(host); });
  }

  Random random_;
  event::SimLoop loop_;
  SimNetwork net_;
  const int node_count_;
  Coordinator coordinator_;
  std::vector<std::unique_ptr<Agent>> agents_;
  std::set<std::string> disturbed_;  // hosts to which something has happened
  std::set<std::string> dead_;
  std::vector<event::Registration> plans_;
};

TEST(MembershipSimulationTest, NobodyRunsWithoutALeaseAndEverybodyEnds) {
  uint64_t first = 1;
  uint64_t count = std::getenv("LOCKSTEP_SOAK") != nullptr ? 100'000 : 2'000;
  if (const char* seed = std::getenv("LOCKSTEP_SEED"); seed != nullptr) {
    first = std::strtoull(seed, nullptr, 10);
    count = 1;
  }
  uint64_t formed = 0;
  uint64_t lost = 0;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE("LOCKSTEP_SEED=" + std::to_string(seed));
    Simulation simulation(seed);
    simulation.Run();
    formed += simulation.formed();
    lost += simulation.lost();
    if (HasFailure()) return;
  }
  EXPECT_TRUE(count == 1 || formed > count / 2) << "jobs hardly ever form: they prove little";
  EXPECT_TRUE(count == 1 || lost > count / 4) << "nodes are hardly ever lost: they prove little";
}

}  // namespace
}  // namespace lockstep
