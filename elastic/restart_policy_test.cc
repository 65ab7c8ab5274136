// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "elastic/restart_policy.h"

#include <gtest/gtest.h>

#include <chrono>

namespace lockstep::elastic {
namespace {

using namespace std::chrono_literals;

/// Rank 1 of two has failed.
GangState Failed(int max_restarts) {
  GangState state(
      {.rank_count = 2, .max_restarts = max_restarts, .backoff_first = 10s, .backoff_max = 30s});
  state.ranks.resize(2);
  state.ranks[1].life = RankRecord::Life::kGone;
  state.ranks[1].exit = RankExit{.exit_code = 7, .fingerprint = "boom"};
  state.culprit = base::Rank(1);
  return state;
}

Decision DecideAfterFailure(const GangState& state) {
  return DecideAfter({.end = RoundEnd::kRankFailed, .culprit = state.culprit}, state);
}

TEST(RestartPolicyTest, AFailureIsFollowedByARoundAsLongAsTheBudgetLasts) {
  GangState state = Failed(1);
  EXPECT_EQ(DecideAfterFailure(state), Decision::kRestart);

  TakeRestart(state);

  EXPECT_EQ(state.restarts_used, 1);
  EXPECT_EQ(DecideAfterFailure(state), Decision::kOutOfRestarts);
}

TEST(RestartPolicyTest, WhatNoRoundCuresEndsTheJob) {
  GangState state = Failed(3);
  state.ranks[0].life = RankRecord::Life::kUnkillable;
  EXPECT_EQ(DecideAfterFailure(state), Decision::kUnkillable);

  state = Failed(3);
  state.ranks[1].exit.reset();
  state.ranks[1].error = base::NotFoundError("no such program");
  EXPECT_EQ(DecideAfterFailure(state), Decision::kCannotLaunch);
  state.ranks[1].error = base::ResourceExhaustedError("no process free");
  EXPECT_EQ(DecideAfterFailure(state), Decision::kRestart);

  state = Failed(3);
  state.stop_signal = 2;
  EXPECT_EQ(DecideAfterFailure(state), Decision::kStoppedByUser);
}

TEST(RestartPolicyTest, TheSameFailureTwiceWithoutAStepOfProgressEndsTheJob) {
  GangState state = Failed(3);
  state.best_step = 4;
  TakeRestart(state);
  state.best_step_before = 4;

  EXPECT_EQ(DecideAfterFailure(state), Decision::kRepeatedFailure);
  state.best_step = 5;
  EXPECT_EQ(DecideAfterFailure(state), Decision::kRestart);
}

TEST(RestartPolicyTest, DelaysDoubleUpToTheirMaximumAndBeginAnewAfterProgress) {
  GangState state = Failed(9);
  EXPECT_EQ(TakeRestart(state), 0s);
  for (const base::Duration most : {10s, 20s, 30s, 30s}) {
    const base::Duration delay = TakeRestart(state);
    EXPECT_LE(delay, most);
    EXPECT_GE(delay, most * 4 / 5);
  }

  state.best_step = 1;

  EXPECT_EQ(TakeRestart(state), 0s);
}

}  // namespace
}  // namespace lockstep::elastic
