// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/bench/statistics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "runtime/base/random.h"

namespace lockstep::launcher {
namespace {

TEST(StatisticsTest, QuantilesLieBetweenTheFigures) {
  EXPECT_DOUBLE_EQ(Median({3, 1, 2}), 2);
  EXPECT_DOUBLE_EQ(Median({4, 1, 2, 3}), 2.5);
  EXPECT_DOUBLE_EQ(Quantile({10, 20, 30}, 0), 10);
  EXPECT_DOUBLE_EQ(Quantile({10, 20, 30}, 1), 30);
  EXPECT_DOUBLE_EQ(Quantile({10, 20}, 0.25), 12.5);
  EXPECT_DOUBLE_EQ(Median({7}), 7);
}

TEST(StatisticsTest, GeometricMeanOfAFactorAndItsInverseIsOne) {
  EXPECT_DOUBLE_EQ(GeometricMean({4, 0.25}), 1);
  EXPECT_DOUBLE_EQ(GeometricMean({2, 8}), 4);
}

TEST(StatisticsTest, VariationIsRelativeToTheMean) {
  EXPECT_DOUBLE_EQ(VariationCoefficient({5}), 0);
  EXPECT_DOUBLE_EQ(VariationCoefficient({9, 11}), VariationCoefficient({90, 110}));
}

TEST(StatisticsTest, FewFiguresCoverWithAllOfThemAndSayHowWell) {
  const MedianInterval five = IntervalOfMedian({5, 1, 4, 2, 3});
  EXPECT_DOUBLE_EQ(five.low, 1);
  EXPECT_DOUBLE_EQ(five.median, 3);
  EXPECT_DOUBLE_EQ(five.high, 5);
  EXPECT_DOUBLE_EQ(five.coverage, 1 - 2.0 / 32);

  EXPECT_DOUBLE_EQ(IntervalOfMedian({1, 2, 3, 4, 5, 6, 7}).coverage, 1 - 2.0 / 128);
  EXPECT_DOUBLE_EQ(IntervalOfMedian({1}).coverage, 0);
}

TEST(StatisticsTest, ManyFiguresLeaveTheOutermostOut) {
  const MedianInterval nine = IntervalOfMedian({1, 2, 3, 4, 5, 6, 7, 8, 9});  // 1 - 2 * 10 / 512

  EXPECT_DOUBLE_EQ(nine.low, 2);
  EXPECT_DOUBLE_EQ(nine.high, 8);
  EXPECT_DOUBLE_EQ(nine.coverage, 1 - 20.0 / 512);
}

// The promise itself, on a skewed distribution whose median is known.
TEST(StatisticsTest, IntervalsCoverTheMedianAsOftenAsTheySay) {
  base::Random random(7);
  constexpr int kTries = 4000;
  for (const int count : {5, 7, 12, 21}) {
    int covered = 0;
    double coverage = 0;
    for (int i = 0; i < kTries; ++i) {
      std::vector<double> figures;
      for (int j = 0; j < count; ++j) figures.push_back(1 / (random.Unit() + 0.1));
      const MedianInterval interval = IntervalOfMedian(figures);
      constexpr double kMedian = 1 / 0.6;
      covered += interval.low <= kMedian && kMedian <= interval.high ? 1 : 0;
      coverage = interval.coverage;
    }
    EXPECT_NEAR(static_cast<double>(covered) / kTries, coverage, 0.015) << count;
  }
}

}  // namespace
}  // namespace lockstep::launcher
