// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/bench/statistics.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <utility>

#include "runtime/base/check.h"

namespace lockstep::launcher {
namespace {

constexpr double kWantedCoverage = 0.95;

// Of `figures` tosses of a coin, heads come up at most `heads` times.
double AtMost(size_t heads, size_t figures) {
  double ways = 1;
  double sum = 1;
  for (size_t i = 1; i <= heads; ++i) {
    ways *= static_cast<double>(figures - i + 1) / static_cast<double>(i);
    sum += ways;
  }
  return std::ldexp(sum, -static_cast<int>(figures));
}

}  // namespace

double Quantile(std::vector<double> figures, double share) {
  LOCKSTEP_CHECK(!figures.empty(), "a quantile of something");
  std::sort(figures.begin(), figures.end());
  const double place = share * static_cast<double>(figures.size() - 1);
  const auto below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, figures.size() - 1);
  const double rest = place - static_cast<double>(below);
  return figures[below] * (1 - rest) + figures[above] * rest;
}

double Median(std::vector<double> figures) { return Quantile(std::move(figures), 0.5); }

double GeometricMean(const std::vector<double>& figures) {
  LOCKSTEP_CHECK(!figures.empty(), "a mean of something");
  // glibc's log and exp of double are chosen by processor when a program is loaded, which does not
  // work where libm alone is linked statically (cc_app).
  long double sum = 0;
  for (const long double figure : figures) sum += std::log(figure);
  return static_cast<double>(std::exp(sum / static_cast<long double>(figures.size())));
}

double VariationCoefficient(const std::vector<double>& figures) {
  LOCKSTEP_CHECK(!figures.empty(), "a deviation of something");
  const auto count = static_cast<double>(figures.size());
  const double mean = std::accumulate(figures.begin(), figures.end(), 0.0) / count;
  if (figures.size() == 1 || mean == 0) return 0;
  double squares = 0;
  for (const double figure : figures) squares += (figure - mean) * (figure - mean);
  return std::sqrt(squares / (count - 1)) / mean;
}

MedianInterval IntervalOfMedian(std::vector<double> figures) {
  LOCKSTEP_CHECK(!figures.empty(), "a median of something");
  std::sort(figures.begin(), figures.end());
  const size_t count = figures.size();
  // Outside of the pair (cut, count - 1 - cut) lies the median when at most `cut` figures are on
  // one of its sides.
  size_t cut = 0;
  while (2 * (cut + 2) <= count && 1 - 2 * AtMost(cut + 1, count) >= kWantedCoverage) ++cut;
  return {.low = figures[cut],
          .median = Median(figures),
          .high = figures[count - 1 - cut],
          .coverage = count == 1 ? 0 : 1 - 2 * AtMost(cut, count)};
}

}  // namespace lockstep::launcher
