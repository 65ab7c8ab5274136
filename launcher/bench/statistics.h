// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_BENCH_STATISTICS_H_
#define LOCKSTEP_LAUNCHER_BENCH_STATISTICS_H_

#include <vector>

/// What is said of several figures. Pure functions; none of them takes an empty vector.
namespace lockstep::launcher {

double Median(std::vector<double> figures);
/// `share` of 0 is the least, of 1 the greatest; linear in between.
double Quantile(std::vector<double> figures, double share);
/// Of positive figures.
double GeometricMean(const std::vector<double>& figures);
/// Standard deviation over mean; 0 of one figure.
double VariationCoefficient(const std::vector<double>& figures);

/// Where the true median lies, whatever the figures' distribution.
struct MedianInterval {
  double low = 0;
  double median = 0;
  double high = 0;
  double coverage = 0;  // how sure that is: 0.98
};

/// From two of the figures themselves (order statistics): of the symmetrical pairs the closest one
/// that covers the median with 95 % certainty, or the outermost where none does. No assumption but
/// that the figures are independent draws; a bootstrap of so few would pretend more than they say.
MedianInterval IntervalOfMedian(std::vector<double> figures);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_BENCH_STATISTICS_H_
