// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// Whole jobs of several nodes, with everything that decides and speaks as it is in life, on a
// network, processes and clocks that fail as the seed says. LOCKSTEP_SEED=n runs that schedule
// alone; LOCKSTEP_SOAK runs 100,000.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "tests/sim/job_simulation.h"

namespace lockstep::sim {
namespace {

TEST(JobSimulationTest, WhateverFailsNothingRunsOnAndTheRightOneIsBlamed) {
  uint64_t first = 1;
  uint64_t count = std::getenv("LOCKSTEP_SOAK") != nullptr ? 100'000 : 2'000;
  if (const char* seed = std::getenv("LOCKSTEP_SEED"); seed != nullptr) {
    first = std::strtoull(seed, nullptr, 10);
    count = 1;
  }
  uint64_t formed = 0;
  uint64_t lost = 0;
  uint64_t restarted = 0;
  uint64_t succeeded = 0;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE("LOCKSTEP_SEED=" + std::to_string(seed));
    JobSimulation simulation(seed);
    simulation.Run();
    if (HasFailure()) return;
    formed += simulation.coordinator().formed();
    lost += !simulation.coordinator().lost().empty();
    restarted += simulation.coordinator().rounds().size() > 1;
    succeeded += simulation.coordinator().exit_status() == 0;
  }
  if (count == 1) return;
  RecordProperty("formed", std::to_string(formed));
  RecordProperty("lost", std::to_string(lost));
  RecordProperty("restarted", std::to_string(restarted));
  RecordProperty("succeeded", std::to_string(succeeded));
  EXPECT_GT(formed, count * 8 / 10) << "jobs hardly ever form: they prove little";
  EXPECT_GT(lost, count / 10) << "nodes are hardly ever lost: they prove little";
  EXPECT_GT(restarted, count / 10) << "gangs hardly ever restart: they prove little";
  EXPECT_GT(succeeded, count / 20) << "jobs hardly ever succeed: they prove little";
}

TEST(JobSimulationTest, ASeedGivesTheSameRunBitForBit) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    uint64_t fingerprints[2];
    for (uint64_t& fingerprint : fingerprints) {
      JobSimulation simulation(seed);
      simulation.Run();
      fingerprint = simulation.fingerprint();
    }
    EXPECT_EQ(fingerprints[0], fingerprints[1]) << "LOCKSTEP_SEED=" << seed;
  }
}

}  // namespace
}  // namespace lockstep::sim
