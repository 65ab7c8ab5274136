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

}  // namespace
}  // namespace lockstep::launcher
