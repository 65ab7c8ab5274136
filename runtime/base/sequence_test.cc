// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/base/sequence.h"

#include <gtest/gtest.h>

#include <thread>

namespace lockstep::base {
namespace {

TEST(SequenceTest, BelongsToItsFirstCallerUntilDetached) {
  Sequence sequence;
  sequence.AssertHeld();
  bool held_elsewhere = true;
  std::thread([&] { held_elsewhere = sequence.Held(); }).join();
  EXPECT_FALSE(held_elsewhere);

  sequence.Detach();
  std::thread([&] { held_elsewhere = sequence.Held(); }).join();
  EXPECT_TRUE(held_elsewhere);
}

TEST(SequenceDeathTest, ForeignThreadAborts) {
  Sequence sequence;
  std::thread([&] { sequence.AssertHeld(); }).join();
  EXPECT_DEATH(sequence.AssertHeld(), "foreign thread");
}

}  // namespace
}  // namespace lockstep::base
