// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/diagnosis/loss_meter.h"

#include <gtest/gtest.h>

namespace lockstep::launcher {
namespace {

using std::chrono::milliseconds;
using Losses = LossMeter::Losses;

constexpr uint64_t kLeast = 3;

/// A kernel that counts, and a meter that looks every 250 ms.
class LossMeterTest : public ::testing::Test {
 protected:
  void Send(int looks, uint64_t sent, uint64_t resent) {
    for (int look = 0; look < looks; ++look) {
      counters_.sent += sent;
      counters_.resent += resent;
      now_ += milliseconds(250);
      meter_.Look(now_, counters_);
    }
  }
  Losses Worst(uint64_t in_vain = 0) const { return meter_.Worst(counters_, in_vain, kLeast); }

  LossMeter meter_;
  base::SteadyTime now_{};
  process::TcpCounters counters_{.sent = 1'000'000, .resent = 5'000};
};

TEST_F(LossMeterTest, WhereNothingIsSentAgainNothingIsLost) {
  EXPECT_EQ(Worst(), Losses());
  Send(100, 1000, 0);
  EXPECT_EQ(Worst(), Losses());
}

TEST_F(LossMeterTest, WhatHasBegunTwoSecondsAgoIsSeenWhateverWasSentBefore) {
  Send(200, 10'000, 0);
  Send(8, 10, 1);
  EXPECT_EQ(Worst(), (Losses{.sent = 80, .lost = 8}));
}

TEST_F(LossMeterTest, AMomentOrAFewSegmentsSayNothing) {
  Send(200, 10'000, 0);
  Send(7, 0, 4);
  EXPECT_EQ(Worst().sent, 10'000u) << "with what was sent before";
  Send(10, 1, 1);
  EXPECT_GE(Worst().sent, LossMeter::kLeastSent);
}

TEST_F(LossMeterTest, OfOneSecondAloneNothingIsSaid) {
  Send(200, 10'000, 0);
  Send(4, 100, 4);
  EXPECT_EQ(Worst(), (Losses{.sent = 40'400, .lost = 16})) << "with the second before";
}

TEST_F(LossMeterTest, WhatWasSentInVainIsNotLost) {
  Send(10, 100, 0);
  Send(8, 10, 4);
  EXPECT_EQ(Worst(32), Losses());
  EXPECT_EQ(Worst(30), Losses()) << "two are too few";
  EXPECT_EQ(Worst(29), (Losses{.sent = 80, .lost = 3}));
}

/// A silence of such a network looks like a cut, but for what was lost before.
TEST_F(LossMeterTest, InASilenceCountsWhatWasLostBefore) {
  Send(1, 0, 0);
  Send(20, 10, 1);
  Send(8, 0, 1);
  EXPECT_EQ(Worst(8), (Losses{.sent = 200, .lost = 20}));
}

TEST_F(LossMeterTest, WhatWasLostAMinuteAgoIsForgotten) {
  Send(10, 100, 10);
  EXPECT_NE(Worst(), Losses());
  Send(250, 100, 0);
  EXPECT_EQ(Worst(), Losses());
}

TEST_F(LossMeterTest, LooksThatFollowEachOtherAtOnceAreOne) {
  for (int i = 0; i < 100'000; ++i) meter_.Look(now_, counters_);
  EXPECT_FALSE(meter_.IsDue(now_));
  Send(8, 100, 4);
  EXPECT_EQ(Worst(), (Losses{.sent = 800, .lost = 32}));
}

TEST_F(LossMeterTest, CountersThatGoBackSayNothing) {
  Send(10, 100, 10);
  counters_ = {.sent = 5, .resent = 4};
  EXPECT_EQ(Worst(), Losses());
  Send(1, 0, 0);
  EXPECT_EQ(Worst(), Losses());
  Send(8, 5, 4);
  EXPECT_EQ(Worst(), (Losses{.sent = 40, .lost = 32}));
}

}  // namespace
}  // namespace lockstep::launcher
