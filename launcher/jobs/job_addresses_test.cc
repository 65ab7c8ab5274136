// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/jobs/job_addresses.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace lockstep::launcher {
namespace {

TEST(JobAddressesTest, LongestSocketNameIsThatOfTheLongestJobId) {
  const std::string job_id = std::string(63, 'n') + "-a1b2c3";

  EXPECT_EQ(std::max(ControlSocketPath("", job_id).size(), AttachSocketPath("", job_id).size()),
            1 + kSocketNameBytesMax);
}

TEST(JobAddressesTest, FoldersOfSimulatedHostsAreShortAndBeginWithTheirJobsPrefix) {
  EXPECT_EQ(SimulatedSocketFolder("/run/s", "mnist-a1b2c3", base::NodeIndex(12)),
            "/run/s/a1b2c3.n12");
  EXPECT_EQ(SimulatedSocketPrefix("mnist-a1b2c3"), "a1b2c3.n");
}

TEST(JobAddressesTest, WhatAnMpiSharesLiesInMemoryUnderTheUsersNumber) {
  EXPECT_EQ(MpiFolder(1000, "mnist-a1b2c3"), "/dev/shm/lockstep-1000-mnist-a1b2c3.mpi");
}

}  // namespace
}  // namespace lockstep::launcher
