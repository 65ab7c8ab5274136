// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Whatever happens to one process of a group in main memory, all others are through with it in time
// (testing/process_faults.h). The faults of calls are FaultContractTest's; NCCL's processes are in
// collectives/nccl/nccl_fault_property_test.cc, MPI's in collectives/mpi/mpi_test.py.
#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "collectives/host/tcp/process_tcp.h"
#include "collectives/host/wide/process_wide.h"
#include "collectives/testing/fault_seeds.h"
#include "collectives/testing/process_faults.h"
#include "collectives/testing/process_gang.h"
#include "runtime/base/random.h"

namespace lockstep::collectives::testing {
namespace {

TEST(FaultPropertyTest, InSharedMemoryEverythingEndsInTimeWhateverHappensToOneProcess) {
  ExpectThatAllEndsInTime({.name = "in shared memory",
                           .make = [](uint64_t, int) { return ProcessGang::InSharedMemory(); }},
                          FaultSeeds(12, 500));
}

TEST(FaultPropertyTest, OverTcpEverythingEndsInTimeWhateverHappensToOneProcess) {
  ExpectThatAllEndsInTime(
      {.name = "over tcp", .has_network = true, .make = [](uint64_t, int) { return OverTcp(); }},
      FaultSeeds(18, 500));
}

/// Two or three, at least one with several ranks: else it would be TCP alone.
std::vector<int> RandomMachines(uint64_t seed, int size) {
  base::Random random(seed + 1);
  std::vector<int> machines = {0, 1, static_cast<int>(random.Below(2))};
  while (static_cast<int>(machines.size()) < size)
    machines.push_back(static_cast<int>(random.Below(3)));
  return machines;
}

// Within machines through shared memory, between them by TCP.
TEST(FaultPropertyTest, OnSeveralMachinesEverythingEndsInTimeWhateverHappensToOneProcess) {
  ExpectThatAllEndsInTime(
      {.name = "on several machines",
       .fewest_ranks = 3,
       .has_network = true,
       .make = [](uint64_t seed, int size) { return OverMachines(RandomMachines(seed, size)); }},
      FaultSeeds(24, 500));
}

}  // namespace
}  // namespace lockstep::collectives::testing
