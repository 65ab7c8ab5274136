// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_TESTS_SIM_JOB_SIMULATION_H_
#define LOCKSTEP_TESTS_SIM_JOB_SIMULATION_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "runtime/base/random.h"
#include "tests/sim/sim_coordinator.h"
#include "tests/sim/sim_member.h"
#include "tests/sim/stranger.h"
#include "tests/sim/world.h"

namespace lockstep::sim {

/// One job of one to six nodes from its start to its end, on one thread and in simulated time, with
/// whatever its seed makes go wrong. What must hold in every one of them fails the test at once.
/// The same seed and the same program: the same run, bit for bit. One use.
class JobSimulation {
 public:
  explicit JobSimulation(uint64_t seed);

  void Run();

  /// Of all that has happened.
  uint64_t fingerprint() const { return world_.truth.trace() ^ world_.net.fingerprint(); }
  const JobPlan& plan() const { return world_.plan; }
  const SimCoordinator& coordinator() const { return *coordinator_; }

 private:
  JobSimulation(base::Random random, uint64_t seed);

  base::NodeIndex AnyMember();
  void After(base::Duration delay, std::function<void()> what);

  void AddMember(base::NodeIndex node, const std::string& job);
  void PlanMembers();
  void PlanUser();
  void PlanFaults();
  void PlanStrangers();
  void Congest();
  void MakeNetworkHostile();
  void Fail(base::NodeIndex node);
  void MakeSlow(const std::string& host);
  void RefuseConnects();
  void KillAgent(base::NodeIndex node);
  void PlanStop();
  void StopAgent(base::NodeIndex node, base::Duration time);
  void KillCoordinator();

  /// After every callback.
  void CheckLeases();
  void CheckClocks() const;
  void CheckEnd() const;
  bool AllEnded() const;

  base::Random random_;  // of what goes wrong
  World world_;
  std::unique_ptr<SimCoordinator> coordinator_;
  std::vector<std::unique_ptr<SimMember>> members_;
  std::vector<std::unique_ptr<Stranger>> strangers_;
  std::set<base::NodeIndex> touched_;  // nodes to which something has happened
  std::vector<event::Registration> plans_;
  event::Registration congestion_;
};

}  // namespace lockstep::sim

#endif  // LOCKSTEP_TESTS_SIM_JOB_SIMULATION_H_
