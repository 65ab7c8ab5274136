// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/sim/sim_coordinator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "launcher/cluster/fake_welcome.h"
#include "launcher/cluster/protocol.h"
#include "launcher/exit_codes.h"
#include "runtime/proto/status_conversion.h"
#include "tests/sim/stale_connection.h"

namespace lockstep::sim {

using elastic::RankProcess;
using namespace std::chrono_literals;

namespace {

/// Until a node's first heartbeat has been answered, at the latest, from when its first ranks
/// start.
constexpr base::Duration kFirstAnswers = 100ms;
constexpr base::Duration kRounding = 1us;

std::string NameOf(const RankProcess& process) {
  return "rank " + process.rank.ToString() + "#" + process.incarnation.ToString();
}

}  // namespace

// ------------------------------------------------------------------------------------------- news

NewsCheck::Heard& NewsCheck::Hear(const RankProcess& process, int what) {
  world_.Note({10 + what, process.rank.value(), process.incarnation.value()});
  EXPECT_TRUE(world_.truth.IsOrdered(process))
      << "the gang hears of " << NameOf(process) << ", which it has not ordered in this round";
  return heard_[Truth::KeyOf(process)];
}

void NewsCheck::OnSpawned(const RankProcess& process, pid_t pid) {
  EXPECT_FALSE(std::exchange(Hear(process, 0).started, true)) << NameOf(process);
  driver_.OnSpawned(process, pid);
}

void NewsCheck::OnSpawnFailed(const RankProcess& process, const base::Status& error) {
  EXPECT_FALSE(std::exchange(Hear(process, 1).started, true)) << NameOf(process);
  driver_.OnSpawnFailed(process, error);
}

void NewsCheck::OnExited(const RankProcess& process, launcher::RankEnd end) {
  Heard& heard = Hear(process, 2);
  EXPECT_TRUE(heard.started) << NameOf(process) << " ended before it began";
  EXPECT_FALSE(std::exchange(heard.exited, true)) << NameOf(process) << " ended twice";
  const Truth::Life* life = world_.truth.Find(process);
  const bool is_true = life != nullptr && life->exit && life->exit->code == end.exit.exit_code &&
                       life->exit->signal == end.exit.signal;
  EXPECT_TRUE(is_true) << NameOf(process) << " did not end like that";
  driver_.OnExited(process, std::move(end));
}

void NewsCheck::OnGone(const RankProcess& process) {
  EXPECT_FALSE(std::exchange(Hear(process, 3).gone, true)) << NameOf(process) << " is gone twice";
  driver_.OnGone(process);
}

void NewsCheck::OnUnkillable(const RankProcess& process, const base::Status& error) {
  Hear(process, 4);
  driver_.OnUnkillable(process, error);
}

void NewsCheck::OnAccused(const RankProcess& by, const elastic::GoneRank& accused) {
  Hear(by, 6);
  driver_.OnAccused(by, accused);
}

void NewsCheck::OnProgress(const RankProcess& process, int64_t step) {
  Hear(process, 5);
  driver_.OnProgress(process, step);
}

// --------------------------------------------------------------------------------------- the agent

SimCoordinator::SimCoordinator(World& world)
    : world_(world),
      loop_(world.loop, world.plan.skews.front()),
      node_(world, loop_, base::NodeIndex(0), world.random.Next()),
      network_(
          world.net.Join(kHub, {.job = kJob, .name = std::string(launcher::kCoordinatorName)})) {
  driver_ = std::make_unique<launcher::GangDriver>(world.plan.gang,
                                                   launcher::GangDriver::Deps{loop_, *this});
  news_ = std::make_unique<NewsCheck>(world, *driver_);
  node_.Open(*news_);
  coordinator_ = std::make_unique<launcher::Coordinator>(
      launcher::Coordinator::Config{
          .job_id = kJob,
          .membership = {.node_count = static_cast<int>(world.plan.slots.size()),
                         .lease = world.plan.lease.lease,
                         .join_deadline = world.plan.join_deadline},
          .lease = world.plan.lease},
      launcher::Coordinator::Deps{loop_, *news_, *this});
  Listen();
  coordinator_->Begin();
  JoinHere();
}

void SimCoordinator::Listen() {
  listener_ = network_
                  ->Listen({},
                           [this](std::unique_ptr<net::Connection> made) {
                             coordinator_->Accept(
                                 std::make_unique<StaleConnection>(std::move(made), world_.random));
                           })
                  .value();
  endpoint_ = listener_->endpoint();
}

void SimCoordinator::JoinHere() {
  if (!world_.plan.coordinator_has_ranks) return;
  coordinator_->JoinLocal({.host = kHub,
                           .boot_id = "boot of the hub",
                           .slots = world_.plan.slots.front(),
                           .wanted = base::NodeIndex(0),
                           .lockstep_version = "1",
                           .addresses = {}},
                          29500, node_.ranks());
}

proto::Welcome SimCoordinator::MakeWelcome() const { return launcher::FakeWelcome(kJob); }

void SimCoordinator::OnFormed(const std::vector<launcher::JobNode>& nodes) {
  world_.Note({30});
  EXPECT_FALSE(std::exchange(formed_, true)) << "a job forms once";
  ASSERT_EQ(nodes.size(), world_.plan.slots.size());
  std::vector<launcher::NodeRanks*> node_of_rank;
  proto::World world;
  for (size_t node = 0; node < nodes.size(); ++node) {
    const elastic::NodeFacts& facts = nodes[node].facts;
    EXPECT_EQ(facts.host, HostOf(base::NodeIndex(static_cast<int>(node)), world_.plan));
    EXPECT_EQ(facts.slots, world_.plan.slots[node]);
    world.add_nodes()->set_host(facts.host);
    world.mutable_nodes(static_cast<int>(node))->set_slots(facts.slots);
    const auto slots = static_cast<size_t>(facts.slots);
    node_of_rank.insert(node_of_rank.end(), slots, nodes[node].ranks);
    host_of_rank_.insert(host_of_rank_.end(), slots, facts.host);
  }
  coordinator_->SendWorld(world);
  driver_->Start(std::move(node_of_rank));
}

void SimCoordinator::OnFormationFailed(const base::Status& why) {
  world_.Note({31, static_cast<int64_t>(why.code())});
  EXPECT_FALSE(formed_);
  EXPECT_TRUE(world_.plan.disturbed) << why;
  if (!finishing_) Finish(static_cast<int>(launcher::ExitCode::kUnavailable), std::nullopt);
}

void SimCoordinator::OnNodeLost(base::NodeIndex node, const base::Status& why) {
  world_.Note({32, node.value(), static_cast<int64_t>(why.code())});
  EXPECT_TRUE(formed_);
  EXPECT_TRUE(lost_.emplace(node, why).second) << "node " << node << " is lost twice";
  EXPECT_NE(why.message().find(HostOf(node, world_.plan)), std::string::npos) << why;
  on_lost(node);
  std::vector<base::Rank> ranks;
  for (int rank = 0; rank < world_.plan.rank_count(); ++rank) {
    if (world_.plan.NodeOf(base::Rank(rank)) == node) ranks.emplace_back(rank);
  }
  driver_->LoseNode(node, ranks, why);
}

void SimCoordinator::Answer(const proto::ControlRequest& request, launcher::OnAnswer answer) {
  proto::ControlReply reply;
  if (request.has_stop()) {
    RequestStop(request.stop().signal(), request.stop().at_once());
    reply.mutable_stop();
  }
  answer(reply);
}

void SimCoordinator::RequestStop(int signal, bool at_once) {
  if (ended() || finishing_) return;
  driver_->RequestStop(signal, at_once, world_.plan.gang.user_stop_grace);
}

// ---------------------------------------------------------------------------------------- the gang

void SimCoordinator::OnRoundBegins(const elastic::SpawnRanks& round) {
  world_.Note({33, round.round.value(), round.restart_count});
  EXPECT_EQ(persisted_, round.restart_count) << "written down before the round begins";
  world_.truth.OnRoundBegins(round);
}

void SimCoordinator::OnRoundEnded(const elastic::RoundOutcome& outcome,
                                  std::map<base::Rank, launcher::RankEvidence> evidence) {
  world_.Note({34, outcome.round.value(), static_cast<int64_t>(outcome.end)});
  EXPECT_EQ(outcome.round, world_.truth.round());
  CheckCulprit(outcome);
  launcher::RoundFacts facts = Facts();
  facts.ranks = std::move(evidence);
  last_verdict_ = launcher::MakeVerdict(outcome, facts);
  world_.truth.OnRoundEnds();
  rounds_.push_back(outcome);
}

/// It failed, and by itself.
void SimCoordinator::CheckCulprit(const elastic::RoundOutcome& outcome) const {
  if (outcome.end == elastic::RoundEnd::kSucceeded) {
    for (const elastic::RankRecord& rank : outcome.ranks) {
      const Truth::Life* life = world_.truth.Find(rank.process);
      EXPECT_TRUE(life != nullptr && life->exit && life->exit->code == 0 && life->exit->signal == 0)
          << NameOf(rank.process) << " counts as successful";
    }
  }
  if (!outcome.culprit) return;
  const elastic::RankRecord& culprit = outcome.ranks[static_cast<size_t>(outcome.culprit->value())];
  const Truth::Life* life = world_.truth.Find(culprit.process);
  switch (outcome.end) {
    case elastic::RoundEnd::kRankFailed:
      EXPECT_TRUE(life != nullptr && life->FailedByItself())
          << NameOf(culprit.process) << " is blamed, and did not fail";
      CheckWasFirst(outcome);
      return;
    case elastic::RoundEnd::kLaunchFailed:
      EXPECT_TRUE(life == nullptr ? !lost_.empty() : !life->program.spawn.ok())
          << NameOf(culprit.process) << " is blamed, and could start: " << culprit.error;
      return;
    case elastic::RoundEnd::kNodeLost:
      EXPECT_TRUE(lost_.contains(world_.plan.NodeOf(culprit.process.rank)))
          << NameOf(culprit.process) << " counts as lost, and its node is there";
      return;
    case elastic::RoundEnd::kRankAccused:  // in this simulation ranks give up nobody
    case elastic::RoundEnd::kStoodStill:
    case elastic::RoundEnd::kSucceeded:
    case elastic::RoundEnd::kStoppedByUser:
      ADD_FAILURE() << NameOf(culprit.process) << " is blamed for no failure";
  }
}

/// As far as anybody can know: each agent names the error of the time that it tells, and one
/// failure may say more about its own rank than another.
void SimCoordinator::CheckWasFirst(const elastic::RoundOutcome& outcome) const {
  if (world_.plan.disturbed || world_.plan.stops) return;
  const auto record = [&outcome](base::Rank rank) -> const elastic::RankRecord& {
    return outcome.ranks[static_cast<size_t>(rank.value())];
  };
  const elastic::RankRecord& culprit = record(*outcome.culprit);
  const Truth::Life& blamed = *world_.truth.Find(culprit.process);
  for (const elastic::RankRecord& other : outcome.ranks) {
    const Truth::Life* life = world_.truth.Find(other.process);
    if (life == nullptr || !life->FailedByItself()) continue;
    const bool says_less = life->exit->signal == 0 && blamed.exit->signal != 0;
    // Before the first heartbeat is answered an end counts as when it was heard of.
    const base::Duration unknown = kRounding + (says_less ? world_.plan.gang.tie_window : 0s);
    const bool is_early = other.ended_at < outcome.started_at + kFirstAnswers;
    EXPECT_LE(blamed.ended_at, life->ended_at + 2 * (culprit.ended_error + other.ended_error) +
                                   world_.plan.slowest() * (is_early || says_less ? 2 : 0) +
                                   unknown)
        << NameOf(other.process) << " failed before " << NameOf(culprit.process);
  }
}

launcher::RoundFacts SimCoordinator::Facts() const {
  launcher::RoundFacts facts;
  facts.job_id = kJob;
  facts.host = kHub;
  facts.host_of_rank = host_of_rank_;
  facts.steady_now = loop_.Now();
  facts.wall_now = loop_.clock().WallNow();
  return facts;
}

void SimCoordinator::OnJobEnded(const elastic::JobOutcome& outcome) {
  const std::optional<proto::Verdict> verdict =
      launcher::MakeJobVerdict(outcome, last_verdict_, Facts());
  EXPECT_EQ(verdict.has_value(), outcome.decision != elastic::Decision::kSucceeded);
  EXPECT_LE(outcome.restarts_used, world_.plan.gang.max_restarts);
  Finish(launcher::ExitStatus(verdict), verdict);
}

void SimCoordinator::Finish(int exit_status, const std::optional<proto::Verdict>& verdict) {
  world_.Note({35, exit_status});
  EXPECT_FALSE(std::exchange(finishing_, true)) << "a job ends once";
  exit_status_ = exit_status;
  proto::JobOver over;
  over.set_exit_code(exit_status);
  if (verdict) *over.mutable_verdict() = *verdict;
  coordinator_->Finish(over, [this] {
    end_ = world_.loop.After(0s, [this] {
      EXPECT_EQ(LivingCount(), 0) << "the coordinator's agent leaves processes behind";
      Destroy();
    });
  });
}

void SimCoordinator::Kill() {
  if (ended()) return;
  killed_ = true;
  exit_status_.reset();
  Destroy();
}

void SimCoordinator::Destroy() {
  for (size_t node = 0; node < world_.plan.slots.size(); ++node) {
    (void)LeaseOf(base::NodeIndex(static_cast<int>(node)));
  }
  ended_at_ = world_.loop.Now();
  end_.reset();
  listener_.reset();
  coordinator_.reset();
  node_.Close();
  news_.reset();
  driver_.reset();
}

base::SteadyTime SimCoordinator::LeaseOf(base::NodeIndex node) {
  if (ended()) return leases_[node];
  const auto& nodes = coordinator_->state().nodes;
  const auto found = nodes.find(node);
  // One that left before the job had formed has not been told of any world.
  if (found != nodes.end()) leases_[node] = found->second.lease_until;
  return leases_[node];
}

}  // namespace lockstep::sim
