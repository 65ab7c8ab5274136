// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/torch/allocator.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdlib>
#include <cstring>

namespace lockstep::train {
namespace {

int64_t PageFaults() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

void UseTemporary() {
  constexpr size_t kBytes = 16 << 20;  // 4,096 pages
  auto* volatile memory = static_cast<char*>(malloc(kBytes));
  memset(memory, 1, kBytes);
  free(memory);
}

TEST(AllocatorTest, LargeTemporariesAreFaultedInOnce) {
  ASSERT_TRUE(KeepFreedMemory());
  UseTemporary();
  const int64_t before = PageFaults();

  for (int i = 0; i < 10; ++i) UseTemporary();

  EXPECT_LT(PageFaults() - before, 1000);
}

}  // namespace
}  // namespace lockstep::train
