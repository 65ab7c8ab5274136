// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/bench/cpu_pressure.h"

#include <gtest/gtest.h>

#include <chrono>
#include <optional>

#include "runtime/base/clock.h"

namespace lockstep::launcher {
namespace {

TEST(CpuPressureTest, TotalOfSomeIsRead) {
  EXPECT_EQ(ParseCpuPressure("some avg10=98.09 avg60=97.23 avg300=97.10 total=12857097008\n"
                             "full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n"),
            std::chrono::microseconds(12857097008));
}

TEST(CpuPressureTest, OtherTextSaysNothing) {
  EXPECT_EQ(ParseCpuPressure(""), std::nullopt);
  EXPECT_EQ(ParseCpuPressure("full avg10=0.00 total=7\n"), std::nullopt);
  EXPECT_EQ(ParseCpuPressure("some avg10=0.00\nfull total=7\n"), std::nullopt);
  EXPECT_EQ(ParseCpuPressure("some avg10=0.00 total=7x\n"), std::nullopt);
  EXPECT_EQ(ParseCpuPressure("some avg10=0.00 total=-7\n"), std::nullopt);
}

class FakePressure final : public CpuPressure {
 public:
  std::optional<base::Duration> Waited() override { return waited; }
  std::optional<base::Duration> waited = base::Duration(0);
};

TEST(PressureWatchTest, LongRoundsAreJudgedByThemselves) {
  base::SimClock clock;
  FakePressure pressure;
  PressureWatch watch(clock, pressure);

  clock.Advance(std::chrono::seconds(1));
  *pressure.waited += std::chrono::milliseconds(900);
  EXPECT_EQ(watch.TakeShare(), 0.9);
  clock.Advance(std::chrono::seconds(1));
  *pressure.waited += std::chrono::milliseconds(100);
  EXPECT_EQ(watch.TakeShare(), 0.1);
}

// Rounds of a few milliseconds were found quiet on a machine with ten tasks for two processors.
TEST(PressureWatchTest, ShortRoundsAreJudgedWithWhatWasBeforeThem) {
  base::SimClock clock;
  FakePressure pressure;
  PressureWatch watch(clock, pressure);

  clock.Advance(std::chrono::milliseconds(200));
  *pressure.waited += std::chrono::milliseconds(200);
  EXPECT_EQ(watch.TakeShare(), 1);
  clock.Advance(std::chrono::milliseconds(50));
  EXPECT_EQ(watch.TakeShare(), 0.8);
  for (int i = 0; i < 3; ++i) {
    clock.Advance(std::chrono::milliseconds(50));
    (void)watch.TakeShare();
  }
  clock.Advance(std::chrono::milliseconds(50));
  EXPECT_EQ(watch.TakeShare(), 0) << "the busy time is 250 ms old";
}

TEST(PressureWatchTest, WhereTheKernelDoesNotTellThereIsNone) {
  base::SimClock clock;
  FakePressure pressure;
  pressure.waited = std::nullopt;
  PressureWatch watch(clock, pressure);
  clock.Advance(std::chrono::seconds(1));

  EXPECT_FALSE(watch.works());
  EXPECT_EQ(watch.TakeShare(), std::nullopt);
}

}  // namespace
}  // namespace lockstep::launcher
