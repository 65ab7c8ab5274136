// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/bench/cpu_pressure.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <ctime>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/clock.h"

namespace lockstep::launcher {
namespace {

TEST(CpuPressureTest, BusyIsWhatProcessesHadAndTheHostTook) {
  const std::string stat =
      "cpu  1000 200 30 99999 8888 777 666 4 0 0\n"
      "cpu0 1 2 3 4 5 6 7 8 0 0\ncpu1 10 20 30 4 5 6 7 80 0 0\ncpu11 7 7 7 7 7 7 7 7 0 0\n"
      "intr 1 2 3\n";
  EXPECT_EQ(ParseBusyTicks(stat, {}), 1234);
  EXPECT_EQ(ParseBusyTicks(stat, {0}), 14);
  EXPECT_EQ(ParseBusyTicks(stat, {0, 1}), 14 + 140);
  EXPECT_EQ(ParseBusyTicks(stat, {1, 2}), std::nullopt) << "there is no such processor";
  EXPECT_EQ(ParseBusyTicks("", {}), std::nullopt);
  EXPECT_EQ(ParseBusyTicks("cpu  1 2 3\ncpu0 1 2 3 4 5 6 7 8\n", {}), std::nullopt);
  EXPECT_EQ(ParseBusyTicks("cpu0 1 2 3 4 5 6 7 8\n", {}), std::nullopt);
  EXPECT_EQ(ParseBusyTicks("cpu  1 2 x 4 5 6 7 8\n", {}), std::nullopt);
}

TEST(CpuPressureTest, TimesOfAProcessAreReadBehindAnyName) {
  const std::string behind = " S 1 2 3 4 -1 4194560 5 6 7 8 900 80 0 0 20 0 1 0\n";
  EXPECT_EQ(ParseProcessTicks("12 (true)" + behind), 980);
  EXPECT_EQ(ParseProcessTicks("12 (a) b (c) )" + behind), 980);
  EXPECT_EQ(ParseProcessTicks("12 (true) S 1 2 3"), std::nullopt);
  EXPECT_EQ(ParseProcessTicks("12 (true) "), std::nullopt);
  EXPECT_EQ(ParseProcessTicks(""), std::nullopt);
}

TEST(CpuPressureTest, WorkOfOursIsNotThatOfOthers) {
  ProcCpuPressure without([] { return std::vector<pid_t>(); }, {});
  ProcCpuPressure with([] { return std::vector<pid_t>{::getpid()}; }, {});
  ASSERT_TRUE(without.UsedByOthers().has_value()) << "there is no /proc/stat";
  const base::Duration all_before = *without.UsedByOthers();
  const base::Duration others_before = *with.UsedByOthers();
  const std::clock_t begun = std::clock();
  while (std::clock() - begun < CLOCKS_PER_SEC) continue;

  const base::Duration others = *with.UsedByOthers() - others_before;
  const base::Duration all = *without.UsedByOthers() - all_before;
  EXPECT_GE(all - others, std::chrono::milliseconds(900));
  EXPECT_LE(all - others, std::chrono::milliseconds(1200));
}

class FakePressure final : public CpuPressure {
 public:
  std::optional<base::Duration> UsedByOthers() override { return used; }
  std::optional<base::Duration> used = base::Duration(0);
};

TEST(PressureWatchTest, LongRoundsAreJudgedByThemselves) {
  base::SimClock clock;
  FakePressure pressure;
  PressureWatch watch(clock, pressure);

  clock.Advance(std::chrono::seconds(1));
  *pressure.used += std::chrono::milliseconds(900);
  EXPECT_EQ(watch.TakeShare(), 0.9);
  clock.Advance(std::chrono::seconds(1));
  *pressure.used += std::chrono::milliseconds(100);
  EXPECT_EQ(watch.TakeShare(), 0.1);
}

// Rounds of a few milliseconds were found quiet on a machine with ten tasks for two processors.
TEST(PressureWatchTest, ShortRoundsAreJudgedWithWhatWasBeforeThem) {
  base::SimClock clock;
  FakePressure pressure;
  PressureWatch watch(clock, pressure);

  clock.Advance(std::chrono::milliseconds(200));
  *pressure.used += std::chrono::milliseconds(200);
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
  pressure.used = std::nullopt;
  PressureWatch watch(clock, pressure);
  clock.Advance(std::chrono::seconds(1));

  EXPECT_FALSE(watch.works());
  EXPECT_EQ(watch.TakeShare(), std::nullopt);
}

}  // namespace
}  // namespace lockstep::launcher
