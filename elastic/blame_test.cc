// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "elastic/blame.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>

namespace lockstep::elastic {
namespace {

using namespace std::chrono_literals;

RankRecord Ended(RankExit exit, base::Duration at = 0ms, base::Duration error = 0ms) {
  RankRecord rank;
  rank.life = RankRecord::Life::kExited;
  rank.exit = exit;
  rank.ended_at = base::SteadyTime(at);
  rank.ended_error = error;
  return rank;
}

TEST(BlameTest, WhatARankAlsoDoesWhenAPeerVanishesIsWeak) {
  EXPECT_TRUE(IsWeak(Ended({.exit_code = 1})));
  EXPECT_TRUE(IsWeak(Ended({.signal = SIGABRT})));
  EXPECT_TRUE(IsWeak(Ended({.signal = SIGPIPE})));

  EXPECT_FALSE(IsWeak(Ended({.signal = SIGSEGV})));
  EXPECT_FALSE(IsWeak(Ended({.exit_code = 1, .out_of_memory = true})));
  RankRecord lost;
  lost.lost = true;
  EXPECT_FALSE(IsWeak(lost));
}

TEST(BlameTest, TheFailureThatSaysMoreIsRatherTheCulpritHoweverLate) {
  const RankRecord code = Ended({.exit_code = 1}, 1ms);
  const RankRecord signal = Ended({.signal = SIGSEGV}, 2ms);
  const RankRecord memory = Ended({.signal = SIGKILL, .out_of_memory = true}, 3ms);

  EXPECT_TRUE(IsRatherTheCulprit(signal, code));
  EXPECT_TRUE(IsRatherTheCulprit(memory, signal));
  EXPECT_FALSE(IsRatherTheCulprit(code, memory));
}

TEST(BlameTest, OfEqualsTheFirstStaysUnlessTheOtherWasCertainlyBefore) {
  const RankRecord culprit = Ended({.exit_code = 1}, 10ms, 2ms);

  EXPECT_TRUE(IsRatherTheCulprit(Ended({.exit_code = 2}, 5ms, 2ms), culprit));
  EXPECT_FALSE(IsRatherTheCulprit(Ended({.exit_code = 2}, 6ms, 2ms), culprit));
  EXPECT_FALSE(IsRatherTheCulprit(Ended({.exit_code = 2}, 11ms), culprit));
}

}  // namespace
}  // namespace lockstep::elastic
