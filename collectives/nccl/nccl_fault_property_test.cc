// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Whatever happens to one process of a group over the fake NCCL, all others are through with it in
// time (testing/process_faults.h).
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "collectives/nccl/testing/process_nccl.h"
#include "collectives/testing/fault_seeds.h"
#include "collectives/testing/process_faults.h"

namespace lockstep::collectives::testing {
namespace {

TEST(NcclFaultPropertyTest, EverythingEndsInTimeWhateverHappensToOneProcess) {
  for (const char* const version : {"2_14", "2_30"}) {
    ExpectThatAllEndsInTime({.name = std::string("over the fake NCCL ") + version,
                             .make = [version](uint64_t, int) { return OverFakeNccl(version); }},
                            FaultSeeds(10, 500));
  }
}

}  // namespace
}  // namespace lockstep::collectives::testing
