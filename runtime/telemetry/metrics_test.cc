// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/telemetry/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <thread>
#include <vector>

namespace lockstep::telemetry {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(MetricSetTest, TextIsPrometheusExpositionFormat) {
  MetricSet metrics;
  metrics.AddCounter("lockstep_restarts_total", "Restarts of the gang.", {{"cause", "rank"}})
      .Add(2);
  metrics.AddGauge("lockstep_ranks", "Ranks alive.").Set(7.5);
  metrics.AddCounter("lockstep_restarts_total", "Restarts of the gang.", {{"cause", "node"}});
  Histogram& seconds = metrics.AddHistogram("lockstep_spawn_seconds", "Time to exec.", {0.001, 0.5},
                                            {{"node", "a"}});
  for (const double value : {0.0005, 0.001, 0.25, 3.0}) seconds.Observe(value);

  EXPECT_EQ(metrics.PrometheusText(),
            "# HELP lockstep_restarts_total Restarts of the gang.\n"
            "# TYPE lockstep_restarts_total counter\n"
            "lockstep_restarts_total{cause=\"rank\"} 2\n"
            "lockstep_restarts_total{cause=\"node\"} 0\n"
            "# HELP lockstep_ranks Ranks alive.\n"
            "# TYPE lockstep_ranks gauge\n"
            "lockstep_ranks 7.5\n"
            "# HELP lockstep_spawn_seconds Time to exec.\n"
            "# TYPE lockstep_spawn_seconds histogram\n"
            "lockstep_spawn_seconds_bucket{node=\"a\",le=\"0.001\"} 2\n"
            "lockstep_spawn_seconds_bucket{node=\"a\",le=\"0.5\"} 3\n"
            "lockstep_spawn_seconds_bucket{node=\"a\",le=\"+Inf\"} 4\n"
            "lockstep_spawn_seconds_sum{node=\"a\"} 3.2515\n"
            "lockstep_spawn_seconds_count{node=\"a\"} 4\n");
}

TEST(MetricSetTest, HelpAndLabelValuesAreEscaped) {
  MetricSet metrics;
  metrics.AddCounter("x_total", "Back\\slash, \"quote\"\nand line.", {{"path", "C:\\a \"b\"\nc"}});

  EXPECT_EQ(metrics.PrometheusText(),
            "# HELP x_total Back\\\\slash, \"quote\"\\nand line.\n"
            "# TYPE x_total counter\n"
            "x_total{path=\"C:\\\\a \\\"b\\\"\\nc\"} 0\n");
}

TEST(MetricSetTest, NumbersThatAreNoneHaveNames) {
  MetricSet metrics;
  Gauge& gauge = metrics.AddGauge("g", "h");

  gauge.Set(std::nan(""));
  EXPECT_THAT(metrics.PrometheusText(), HasSubstr("\ng NaN\n"));
  gauge.Set(std::numeric_limits<double>::infinity());
  EXPECT_THAT(metrics.PrometheusText(), HasSubstr("\ng +Inf\n"));
  gauge.Set(-std::numeric_limits<double>::infinity());
  EXPECT_THAT(metrics.PrometheusText(), HasSubstr("\ng -Inf\n"));
}

TEST(MetricSetTest, SameNameAndLabelsIsTheSameMetric) {
  MetricSet metrics;
  Counter& first = metrics.AddCounter("x_total", "h", {{"a", "1"}});

  EXPECT_EQ(&metrics.AddCounter("x_total", "h", {{"a", "1"}}), &first);
  EXPECT_NE(&metrics.AddCounter("x_total", "h", {{"a", "2"}}), &first);
}

TEST(MetricSetTest, CountsOfManyThreadsAddUp) {
  MetricSet metrics;
  Counter& counter = metrics.AddCounter("x_total", "h");
  Histogram& histogram = metrics.AddHistogram("y", "h", {1, 2});
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 10'000; ++j) {
        counter.Add();
        histogram.Observe(1.5);
      }
    });
  }
  for (int i = 0; i < 10; ++i) (void)metrics.PrometheusText();
  for (std::thread& thread : threads) thread.join();

  EXPECT_EQ(counter.value(), 40'000u);
  EXPECT_EQ(histogram.bucket_count(1), 40'000u);
  EXPECT_EQ(histogram.sum(), 60'000.0);
}

TEST(MetricSetDeathTest, AnotherKindUnderTheSameNameIsABug) {
  MetricSet metrics;
  metrics.AddCounter("x_total", "h");

  EXPECT_DEATH(metrics.AddGauge("x_total", "h"), "keeps its kind");
  EXPECT_DEATH(metrics.AddCounter("2x", "h"), "name");
  EXPECT_DEATH(metrics.AddCounter("y_total", "h", {{"le", "1"}}), "label");
  EXPECT_DEATH(metrics.AddHistogram("z", "h", {2, 1}), "rise");
}

TEST(ExponentialBoundsTest, EachIsTheLastTimesTheFactor) {
  EXPECT_THAT(ExponentialBounds(0.25, 2, 4), ElementsAre(0.25, 0.5, 1, 2));
}

}  // namespace
}  // namespace lockstep::telemetry
