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
  Losses Worst(uint64_t under_way = 0) const { return meter_.Worst(counters_, under_way, kLeast); }

  LossMeter meter_;
  base::SteadyTime now_{};
  process::TcpCounters counters_{.sent = 1'000'000, .resent = 5'000};
};

TEST_F(LossMeterTest, WhereNothingIsSentAgainNothingIsLost) {
  EXPECT_EQ(Worst(), Losses());
  Send(100, 1000, 0);
  EXPECT_EQ(Worst(), Losses());
}

TEST_F(LossMeterTest, WhatHasBegunJustNowIsSeenWhateverWasSentBefore) {
  Send(200, 10'000, 0);
  Send(3, 10, 1);
  EXPECT_EQ(Worst(), (Losses{.sent = 30, .lost = 3}));
}

TEST_F(LossMeterTest, WhatIsUnderWayIsNotLost) {
  Send(10, 100, 0);
  Send(5, 0, 4);
  EXPECT_EQ(Worst(20), Losses());
  EXPECT_EQ(Worst(18), Losses()) << "two are too few";
  EXPECT_EQ(Worst(17), (Losses{.sent = 0, .lost = 3}));
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
  Send(1, 100, 4);
  EXPECT_EQ(Worst(), (Losses{.sent = 100, .lost = 4}));
}

TEST_F(LossMeterTest, CountersThatGoBackSayNothing) {
  Send(10, 100, 10);
  counters_ = {.sent = 5, .resent = 4};
  EXPECT_EQ(Worst(), Losses());
  Send(1, 0, 0);
  EXPECT_EQ(Worst(), Losses());
  Send(1, 5, 4);
  EXPECT_EQ(Worst(), (Losses{.sent = 5, .lost = 4}));
}

}  // namespace
}  // namespace lockstep::launcher
