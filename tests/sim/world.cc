// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/sim/world.h"

#include <chrono>
#include <numeric>

namespace lockstep::sim {
namespace {

using namespace std::chrono_literals;

constexpr int64_t kDriftPpmMax = 200;  // worse than any quartz

ClockSkew RandomSkew(base::Random& random) {
  const auto hours = [&random](uint64_t limit) {
    return base::Duration(std::chrono::seconds(random.Below(limit * 3600)));
  };
  return {.steady_ahead = hours(10'000),
          .wall_ahead = hours(24) - 12h,
          .drift_ppm = static_cast<int64_t>(random.Below(2 * kDriftPpmMax + 1)) - kDriftPpmMax};
}

}  // namespace

int JobPlan::rank_count() const { return std::accumulate(slots.begin(), slots.end(), 0); }

base::NodeIndex JobPlan::NodeOf(base::Rank rank) const {
  int first = 0;
  for (size_t node = 0; node < slots.size(); ++node) {
    first += slots[node];
    if (rank.value() < first) return base::NodeIndex(static_cast<int>(node));
  }
  return base::NodeIndex(-1);
}

JobPlan MakePlan(base::Random& random) {
  const auto chance = [&random](int percent) {
    return random.Below(100) < static_cast<uint64_t>(percent);
  };
  JobPlan plan;
  const int nodes = 1 + static_cast<int>(random.Below(6));
  for (int node = 0; node < nodes; ++node)
    plan.slots.push_back(1 + static_cast<int>(random.Below(3)));
  plan.coordinator_has_ranks = chance(80);
  for (int host = 0; host <= nodes; ++host) plan.skews.push_back(RandomSkew(random));
  plan.gang.max_restarts = chance(60) ? static_cast<int>(random.Below(4)) : 0;
  plan.gang.peer_failure_grace = chance(30) ? 0s : base::Duration(1s);
  plan.gang.user_stop_grace = 3s;
  plan.gang.kill_deadline = 2s;
  plan.gang.backoff_first = 500ms;
  plan.gang.backoff_max = 2s;
  plan.gang.seed = random.Next();
  plan.lease = {.heartbeat = 250ms, .lease = chance(50) ? 2s : 1s};
  plan.join_deadline = 10s;
  plan.latency_max = chance(60) ? base::Duration(200us)
                                : base::Duration(std::chrono::milliseconds(1 + random.Below(30)));
  if (plan.latency_max < 1ms && chance(50)) plan.congestion = 60ms;
  plan.disturbed = chance(60);
  plan.hostile_network = plan.disturbed && chance(10);
  plan.stops = chance(20);
  plan.fat_evidence = chance(4);
  if (plan.fat_evidence) {
    plan.slots[random.Below(plan.slots.size())] = 40 + static_cast<int>(random.Below(60));
  }
  return plan;
}

std::string HostOf(base::NodeIndex node, const JobPlan& plan) {
  if (node.value() == 0 && plan.coordinator_has_ranks) return kHub;
  return "host-" + node.ToString();
}

}  // namespace lockstep::sim
