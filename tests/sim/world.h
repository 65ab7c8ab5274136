// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_TESTS_SIM_WORLD_H_
#define LOCKSTEP_TESTS_SIM_WORLD_H_

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "elastic/gang.h"
#include "elastic/lease.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/base/random.h"
#include "runtime/event/sim_loop.h"
#include "runtime/net/sim_network.h"
#include "tests/sim/host_loop.h"
#include "tests/sim/truth.h"

namespace lockstep::sim {

/// One job as it is meant: drawn from the seed before anything runs.
struct JobPlan {
  std::vector<int> slots;  // by node
  /// Node 0 is the coordinator's own; else the coordinator runs no ranks.
  bool coordinator_has_ranks = true;
  std::vector<ClockSkew> skews;  // of the coordinator's host, then by node
  elastic::GangConfig gang;
  elastic::LeaseConfig lease;
  base::Duration join_deadline{0};
  /// Messages that are lost, doubled and overtaken, as no TCP does: then jobs need not get
  /// anywhere, but all else holds.
  bool hostile_network = false;
  /// Up to this late, each message of its own accord; most are faster.
  base::Duration latency_max{0};
  /// Now and then one node's messages to the coordinator take as long as that; 0 = never.
  base::Duration congestion{0};
  base::Duration slowest() const { return std::max(latency_max, congestion); }
  /// Ranks leave as much evidence behind as a message carries of one, and one node has many.
  bool fat_evidence = false;
  /// An agent stands still (SIGSTOP) for less than its lease: nothing may be lost by that.
  bool stops = false;
  bool disturbed = false;  // something is planned to go wrong beside the ranks themselves

  int rank_count() const;
  base::NodeIndex NodeOf(base::Rank rank) const;
};

JobPlan MakePlan(base::Random& random);

/// What all parts of a simulated job stand on. Confined to one thread.
struct World {
  World(uint64_t seed, const JobPlan& job_plan, uint64_t network_seed)
      : plan(job_plan), random(network_seed + 1), net(loop, network_seed), truth(seed) {}

  /// At least 0, at most `limit`.
  base::Duration Upto(base::Duration limit) {
    return base::Duration(
        static_cast<int64_t>(random.Below(static_cast<uint64_t>(limit.count()) + 1)));
  }
  bool Chance(int percent) { return random.Below(100) < static_cast<uint64_t>(percent); }
  void Note(std::initializer_list<int64_t> what) { truth.Note(loop.Now(), what); }

  const JobPlan plan;
  base::Random random;
  event::SimLoop loop;
  net::SimNetwork net;
  Truth truth;
};

inline constexpr const char* kJob = "job-1";
/// Where the coordinator is; also node 0, if that is its own.
inline constexpr const char* kHub = "hub";
std::string HostOf(base::NodeIndex node, const JobPlan& plan);

}  // namespace lockstep::sim

#endif  // LOCKSTEP_TESTS_SIM_WORLD_H_
