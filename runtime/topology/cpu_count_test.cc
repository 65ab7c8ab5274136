// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/topology/cpu_count.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <thread>

namespace lockstep::topology {
namespace {

TEST(CpuCountTest, IsThatOfTheThreadsAffinityMask) {
  const int all = CpuCount();
  ASSERT_GE(all, 1);

  int pinned = 0;
  std::thread([&pinned] {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<size_t>(::sched_getcpu()), &one);
    ASSERT_EQ(::sched_setaffinity(0, sizeof(one), &one), 0);
    pinned = CpuCount();
  }).join();

  EXPECT_EQ(pinned, 1);
  EXPECT_EQ(CpuCount(), all);
}

}  // namespace
}  // namespace lockstep::topology
