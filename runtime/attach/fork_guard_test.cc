// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/attach/fork_guard.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

/// What the guard says in a forked child.
bool IsOwnerInAChild(const lockstep_fork_guard& guard) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(lockstep_fork_guard_is_owner(&guard) ? 1 : 0);
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  return WEXITSTATUS(status) == 1;
}

TEST(ForkGuardTest, TellsAForkedChildFromItsParent) {
  lockstep_fork_guard guard;
  lockstep_fork_guard_init(&guard);

  EXPECT_TRUE(lockstep_fork_guard_is_owner(&guard));
  EXPECT_FALSE(IsOwnerInAChild(guard));
  EXPECT_TRUE(lockstep_fork_guard_is_owner(&guard));
  lockstep_fork_guard_free(&guard);
}

TEST(ForkGuardTest, ComparesPidsWhereNoPageCanBeWiped) {
  lockstep_fork_guard guard;
  lockstep_fork_guard_init(&guard);
  lockstep_fork_guard_free(&guard);  // leaves the guard as it is without a page
  ASSERT_EQ(guard.page, nullptr);

  EXPECT_TRUE(lockstep_fork_guard_is_owner(&guard));
  EXPECT_FALSE(IsOwnerInAChild(guard));
}

}  // namespace
