// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/bench/contest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace lockstep::bench {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ContestTest, ContendersTakeTurnsAndWhoRunsLessIsSpreadOverTheWhole) {
  std::string order;
  const auto plays = [&order](char name) {
    return [&order, name]() -> std::optional<double> {
      order += name;
      return 1;
    };
  };

  Compete({{"a", 4, plays('a')}, {"b", 4, plays('b')}, {"c", 2, plays('c')}});

  EXPECT_EQ(order,
            "ab"
            "bca"
            "ab"
            "abc");
}

TEST(ContestTest, FiguresAreSortedAndFailuresAreNoFigures) {
  int run = 0;
  const auto standings = Compete({{"a", 5, [&run]() -> std::optional<double> {
                                     if (++run == 2) return std::nullopt;
                                     return 10 - run;
                                   }}});

  EXPECT_THAT(standings[0].figures, ElementsAre(5, 6, 7, 9));
  EXPECT_EQ(standings[0].failures, 1);
  EXPECT_EQ(standings[0].least(), 5);
  EXPECT_EQ(standings[0].median(), 7);
  EXPECT_EQ(standings[0].p90(), 9);
}

TEST(ContestTest, WhoNeverEndsHasNoMedianToBeat) {
  const auto standings =
      Compete({{"a", 3, []() -> std::optional<double> { return std::nullopt; }}});

  EXPECT_TRUE(std::isinf(standings[0].median()));
  EXPECT_EQ(standings[0].failures, 3);
}

TEST(ReportTest, AMissedBarIsTheExitStatusUnlessASlowMachineMayBeToBlame) {
  Report full(false);
  full.Bar("fast", true);
  EXPECT_EQ(full.exit_status(), 0);
  full.Bar("fast", false);
  EXPECT_EQ(full.exit_status(), 1);

  Report quick(true);
  quick.Bar("fast", false);
  EXPECT_EQ(quick.exit_status(), 0);
  quick.FirmBar("ended", false);
  EXPECT_EQ(quick.exit_status(), 1);
}

TEST(ReportTest, TablesAndBarsCanBeCopied) {
  ::testing::internal::CaptureStdout();
  Report report(false);
  report.PrintTable("Launch", "ms", {{"lockstep", {1.25, 12.5, 125}, 1}});
  report.Bar("2 ms <= 3 ms", true);
  report.Bar("4 ms <= 3 ms", false);
  const std::string printed = ::testing::internal::GetCapturedStdout();

  EXPECT_THAT(printed, HasSubstr("| lockstep | 12.5 | 125 | 1.25 | 4 | 1 |\n"));
  EXPECT_THAT(printed, HasSubstr("bar holds: 2 ms <= 3 ms\nbar MISSED: 4 ms <= 3 ms\n"));
}

// "Open MPI's time 0.00 >= 2 times ours" once stood for a ratio that nobody knew.
TEST(ReportTest, OfABarThatIsNotJudgedNoFigureIsPrinted) {
  ::testing::internal::CaptureStdout();
  Report report(false);
  const Report::Measured missed{
      .what = "gloo's time", .figure = "1.70", .limit = ">= 2 times ours", .holds = false};
  report.BarUnlessDisturbed(missed, true);
  EXPECT_EQ(report.exit_status(), 0);
  report.BarUnlessDisturbed(missed, false);
  EXPECT_EQ(report.exit_status(), 1);
  const std::string printed = ::testing::internal::GetCapturedStdout();

  EXPECT_EQ(
      printed,
      "bar not judged, since other programs used the processors: gloo's time >= 2 times ours\n"
      "bar MISSED: gloo's time 1.70 >= 2 times ours\n");
}

TEST(ReportTest, WhatTheMachineAllowsStandsBehindAMissedBarAlone) {
  ::testing::internal::CaptureStdout();
  Report report(false);
  Report::Measured measured{.what = "mpich's time",
                            .figure = "1.70",
                            .limit = ">= 2 times ours",
                            .holds = false,
                            .when_missed = "as fast as a copy"};
  report.BarUnlessDisturbed(measured, false);
  measured.holds = true;
  report.BarUnlessDisturbed(measured, false);

  EXPECT_EQ(::testing::internal::GetCapturedStdout(),
            "bar MISSED: mpich's time 1.70 >= 2 times ours (as fast as a copy)\n"
            "bar holds: mpich's time 1.70 >= 2 times ours\n");
}

}  // namespace
}  // namespace lockstep::bench
