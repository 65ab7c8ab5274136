// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/sim/job_simulation.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "launcher/exit_codes.h"

namespace lockstep::sim {

using base::Duration;
using base::NodeIndex;
using net::SimNetwork;
using namespace std::chrono_literals;

namespace {

constexpr Duration kFaultsLast = 12s;
/// The user ends what has not ended by then.
constexpr Duration kStopAt = 15s;
/// From then to the last agent's end: what its coordinator may take, and whoever still tries to
/// connect or is timed out.
constexpr Duration kPatience = 60s;
/// Of which to the coordinator's: grace, kill, an answer that does not come, the lease of a node
/// that is lost by that, farewells.
constexpr Duration kCoordinatorPatience = 3s + 2s + 5s + 2s + 5s + 1s;
/// What a lost message may cost beside: an answer that is owed and never comes.
constexpr Duration kHostilePatience = 120s;

/// Of two clocks within a lease, as far as they drift apart.
constexpr Duration kDriftWithinALease = 1ms;
/// What of a lease may be over when an agent is stopped: a heartbeat's period, and the ways of its
/// news there and back, twice the slowest.
constexpr Duration kLeaseLeft = 250ms + 4 * 60ms;
/// Since the last exchanges from which an offset was estimated.
constexpr Duration kDriftSinceExchange = 5ms;  // 4 s at 400 ppm, and more

}  // namespace

JobSimulation::JobSimulation(uint64_t seed) : JobSimulation(base::Random(seed), seed) {}

JobSimulation::JobSimulation(base::Random random, uint64_t seed)
    : random_(random),
      world_(seed, MakePlan(random_), random_.Next()),
      coordinator_(std::make_unique<SimCoordinator>(world_)) {
  coordinator_->on_lost = [this](NodeIndex node) {
    EXPECT_TRUE(touched_.contains(node))
        << "node " << node
        << " is lost, and nothing had happened to it: " << coordinator_->lost().at(node);
  };
}

void JobSimulation::Run() {
  SimNetwork::Path path;
  path.latency_max = world_.plan.latency_max;
  world_.net.SetAllPaths(path);
  PlanMembers();
  PlanUser();
  if (world_.plan.hostile_network) MakeNetworkHostile();
  if (world_.plan.disturbed) PlanFaults();
  PlanStop();
  PlanStrangers();
  if (world_.plan.congestion > 0s && !world_.plan.disturbed) Congest();
  const Duration patience =
      kStopAt + kPatience + (world_.plan.hostile_network ? kHostilePatience : 0s);
  const bool ended = world_.loop.RunUntil(
      [this] {
        CheckLeases();
        return AllEnded() || ::testing::Test::HasFailure();
      },
      patience);
  if (::testing::Test::HasFailure()) return;
  EXPECT_TRUE(ended) << "an agent has no end";
  EXPECT_TRUE(coordinator_->ended_at() <= base::SteadyTime(1s) + kStopAt + kCoordinatorPatience ||
              world_.plan.hostile_network)
      << "the job's end took " << base::FormatDuration(coordinator_->ended_at().time_since_epoch());
  CheckEnd();
}

bool JobSimulation::AllEnded() const {
  return coordinator_->ended() && std::all_of(members_.begin(), members_.end(),
                                              [](const auto& member) { return member->ended(); });
}

// ------------------------------------------------------------------------------------ what happens

void JobSimulation::After(Duration delay, std::function<void()> what) {
  plans_.push_back(world_.loop.After(delay, std::move(what)));
}

void JobSimulation::AddMember(NodeIndex node, const std::string& job) {
  if (coordinator_->was_killed()) return;
  members_.push_back(std::make_unique<SimMember>(world_, node, coordinator_->endpoint(), job));
}

void JobSimulation::PlanMembers() {
  const int first = world_.plan.coordinator_has_ranks ? 1 : 0;
  for (int node = first; node < static_cast<int>(world_.plan.slots.size()); ++node) {
    After(world_.Upto(world_.Chance(10) ? 3s : 200ms),
          [this, node] { AddMember(NodeIndex(node), kJob); });
  }
}

void JobSimulation::PlanUser() {
  if (world_.Chance(25)) {
    const int signal = world_.Chance(50) ? SIGINT : SIGTERM;
    const Duration at = world_.Upto(10s);
    After(at, [this, signal, at_once = world_.Chance(20)] {
      coordinator_->RequestStop(signal, at_once);
    });
    if (world_.Chance(40)) {
      After(at + world_.Upto(3s), [this, signal] { coordinator_->RequestStop(signal, false); });
    }
  }
  if (world_.Chance(10)) {
    const Duration at = world_.Upto(8s);
    After(at, [this] { coordinator_->Suspend(); });
    After(at + world_.Upto(3s), [this] { coordinator_->Resume(); });
  }
  if (world_.Chance(10)) {
    After(world_.Upto(10s), [this] {
      if (members_.empty()) return;
      SimMember& member = *members_[random_.Below(members_.size())];
      // One that cannot ask anybody yet ends, and the job may not form for want of it.
      if (!member.is_connected() && !world_.plan.disturbed) return;
      if (!member.is_connected()) touched_.insert(member.node());
      member.AskToStop(SIGTERM);
    });
  }
  After(kStopAt, [this] { coordinator_->RequestStop(SIGTERM, false); });
}

void JobSimulation::PlanStrangers() {
  if (!world_.Chance(20)) return;
  for (int i = 0; i < 3; ++i) {
    After(world_.Upto(10s), [this] {
      if (coordinator_->was_killed()) return;
      strangers_.push_back(std::make_unique<Stranger>(world_, coordinator_->endpoint()));
    });
  }
}

/// For a while, again and again: what that node tells is then overtaken by what others do.
void JobSimulation::Congest() {
  SimNetwork::Path path;
  path.latency_max = world_.plan.latency_max;
  for (const auto& member : members_) world_.net.SetPath(member->host(), kHub, path);
  const NodeIndex node = AnyMember();
  if (node.value() < 0) return;
  path.latency_min = world_.plan.congestion / 2;
  path.latency_max = world_.plan.congestion;
  world_.net.SetPath(HostOf(node, world_.plan), kHub, path);
  congestion_ = world_.loop.After(400ms, [this] { Congest(); });
}

void JobSimulation::MakeNetworkHostile() {
  for (int node = 0; node < static_cast<int>(world_.plan.slots.size()); ++node)
    touched_.insert(NodeIndex(node));
  SimNetwork::Path path;
  path.dropped_percent = 3;
  path.duplicated_percent = 10;
  path.reordered_percent = 10;
  world_.net.SetAllPaths(path);
}

NodeIndex JobSimulation::AnyMember() {
  const int first = world_.plan.coordinator_has_ranks ? 1 : 0;
  const auto count = static_cast<uint64_t>(world_.plan.slots.size()) - static_cast<uint64_t>(first);
  if (count == 0) return NodeIndex(-1);
  return NodeIndex(first + static_cast<int>(random_.Below(count)));
}

void JobSimulation::PlanFaults() {
  do {
    const NodeIndex node = AnyMember();
    if (node.value() < 0) return;
    After(world_.Upto(kFaultsLast), [this, node] { Fail(node); });
  } while (world_.Chance(40));
}

void JobSimulation::Fail(NodeIndex node) {
  const std::string host = HostOf(node, world_.plan);
  touched_.insert(node);
  switch (random_.Below(11)) {
    case 10: return StopAgent(node, world_.plan.lease.lease + world_.Upto(3s));
    case 0: world_.net.Partition(host, kHub); break;
    case 1: world_.net.Cut(host, kHub); break;
    case 2: world_.net.Cut(kHub, host); break;
    case 3: world_.net.Reset(host, kHub); break;
    case 4: world_.net.HalfOpen(host, kHub); break;
    case 5: world_.net.HalfOpen(kHub, host); break;
    case 6: return KillAgent(node);
    case 7: MakeSlow(host); break;
    case 8: return RefuseConnects();
    default:
      if (random_.Below(3) == 0) return KillCoordinator();
      for (const auto& member : members_) {
        if (member->node() == node) member->Abandon();
      }
      return;
  }
  if (random_.Below(10) < 6) {
    After(world_.Upto(4s), [this, host] { world_.net.Heal(host, kHub); });
  }
}

void JobSimulation::PlanStop() {
  if (!world_.plan.stops) return;
  const NodeIndex node = AnyMember();
  if (node.value() < 0) return;
  After(world_.Upto(kFaultsLast),
        [this, node] { StopAgent(node, world_.Upto(world_.plan.lease.lease - kLeaseLeft)); });
}

void JobSimulation::StopAgent(NodeIndex node, Duration time) {
  for (const auto& member : members_) {
    // What one does that has not met its coordinator yet is no matter of a lease.
    if (member->node() != node || member->ended() || !member->is_connected()) continue;
    if (member->is_behind()) continue;
    member->Stop();
    After(time, [raw = member.get()] { raw->Continue(); });
  }
}

void JobSimulation::MakeSlow(const std::string& host) {
  SimNetwork::Path slow;
  slow.latency_max = world_.Upto(2s);
  if (random_.Below(3) == 0) slow.bytes_per_second = 50 + random_.Below(2000);
  world_.net.SetPath(host, kHub, slow);
  if (random_.Below(2) == 0) world_.net.SetPath(kHub, host, slow);
}

void JobSimulation::RefuseConnects() {
  for (int node = 0; node < static_cast<int>(world_.plan.slots.size()); ++node)
    touched_.insert(NodeIndex(node));
  world_.net.RefuseConnects(kHub, true);
  After(world_.Upto(3s), [this] { world_.net.RefuseConnects(kHub, false); });
}

void JobSimulation::KillAgent(NodeIndex node) {
  const bool machine = random_.Below(2) == 0;
  bool any = false;
  for (const auto& member : members_) {
    if (member->node() != node || member->ended()) continue;
    any = true;
    member->Kill();
  }
  if (!any) return;
  const std::string host = HostOf(node, world_.plan);
  world_.net.Die(host, machine ? SimNetwork::Death::kSilent : SimNetwork::Death::kReset);
  if (machine && random_.Below(2) == 0) {
    After(world_.Upto(5s), [this, host] { world_.net.Boot(host); });
  }
}

void JobSimulation::KillCoordinator() {
  if (coordinator_->ended()) return;
  coordinator_->Kill();
  world_.net.Die(kHub,
                 random_.Below(2) == 0 ? SimNetwork::Death::kSilent : SimNetwork::Death::kReset);
}

// ---------------------------------------------------------------------------------- what must hold

/// Nobody's ranks run without a lease: a node's end, by its own clock, before its coordinator
/// counts on that, by its own.
void JobSimulation::CheckLeases() {
  for (const auto& member : members_) {
    const base::SteadyTime until = coordinator_->LeaseOf(member->node());
    EXPECT_TRUE(member->LivingCount() == 0 || member->is_behind() ||
                coordinator_->clock().Now() <= until + kDriftWithinALease)
        << member->host() << " runs ranks, and its lease is over";
  }
  if (world_.random.Below(64) == 0) CheckClocks();
}

/// What an agent takes for the coordinator's clock is right within the error that it names.
void JobSimulation::CheckClocks() const {
  for (const auto& member : members_) {
    const auto estimate = member->clock_offset();
    if (!estimate || world_.plan.hostile_network) continue;
    const Duration truth = coordinator_->clock().WallNow() - member->clock().WallNow();
    EXPECT_LE(std::chrono::abs(estimate->offset - truth), estimate->error + kDriftSinceExchange)
        << member->host() << " is wrong about the coordinator's clock";
  }
}

void JobSimulation::CheckEnd() const {
  for (const auto& stranger : strangers_) {
    EXPECT_FALSE(stranger->was_let_in()) << "somebody who is not of the job was answered";
  }
  for (const auto& member : members_) {
    EXPECT_EQ(member->LivingCount(), 0) << member->host();
    if (member->job_over() && coordinator_->exit_status()) {
      EXPECT_EQ(member->job_over()->exit_code(), *coordinator_->exit_status());
    }
    // Who comes when the job has been stopped finds nobody.
    if (!coordinator_->formed() || coordinator_->was_killed()) continue;
    if (member->was_killed() || touched_.contains(member->node())) continue;
    EXPECT_TRUE(member->job_over().has_value())
        << "nothing has happened to " << member->host() << ", and it was not told of the end";
    EXPECT_EQ(member->exit_status(), coordinator_->exit_status()) << member->host();
  }
  if (!world_.plan.disturbed && !members_.empty()) {
    EXPECT_TRUE(coordinator_->lost().empty());
  }
}

}  // namespace lockstep::sim
