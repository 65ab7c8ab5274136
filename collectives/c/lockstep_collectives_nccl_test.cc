// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// What the C functions have for buffers on a GPU alone, over the fake NCCL.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <memory>

#include "collectives/c/c_handles.h"
#include "collectives/c/lockstep_collectives.h"
#include "collectives/nccl/testing/nccl_gang.h"

namespace lockstep::collectives::testing {
namespace {

TEST(LockstepCollectivesNcclTest, MemoryIsRegisteredUntilItIsFreed) {
  const FakeGpu fake("2_30");
  NcclGang gang(2, fake.Load());
  gang.Run([&](Group& group) {
    lockstep_group world{std::shared_ptr<Group>(&group, [](Group*) {})};
    EXPECT_EQ(lockstep_group_traits(&world) & (LOCKSTEP_HOST_MEMORY | LOCKSTEP_CUDA_MEMORY),
              unsigned{LOCKSTEP_CUDA_MEMORY});
    const auto memory = gang.Allocate(64);
    std::memset(memory.get(), 0, 64);
    const lockstep_buffer buffer = {memory.get(), 16, LOCKSTEP_I32, LOCKSTEP_CUDA,
                                    group.rank().value()};  // a GPU a rank
    const auto barrier = [&world] {
      ASSERT_EQ(lockstep_finish(lockstep_barrier(&world, nullptr), nullptr), 0);
    };
    barrier();
    const int before = fake.Objects();
    barrier();
    lockstep_status status;
    lockstep_registration* registration = nullptr;
    ASSERT_EQ(lockstep_register_buffer(&world, &buffer, &registration, &status), 0) << status.text;
    barrier();
    EXPECT_EQ(fake.Objects(), before + 2);
    EXPECT_EQ(lockstep_finish(lockstep_all_reduce(&world, &buffer, &buffer, LOCKSTEP_SUM, nullptr),
                              &status),
              0)
        << status.text;
    lockstep_registration_free(registration);
    barrier();
    EXPECT_EQ(fake.Objects(), before);
    barrier();
    lockstep_registration_free(nullptr);
  });
}

}  // namespace
}  // namespace lockstep::collectives::testing
