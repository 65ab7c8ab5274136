// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_BENCH_SVG_PLOT_H_
#define LOCKSTEP_LAUNCHER_BENCH_SVG_PLOT_H_

#include <string>
#include <utility>
#include <vector>

#include "launcher/bench/measure.h"

namespace lockstep::launcher {

/// A line of a plot: points with positive coordinates, in the order of x.
struct PlotSeries {
  std::string name;
  std::vector<std::pair<double, double>> points;  // bytes, microseconds
};

/// Size against time, both logarithmic, as one SVG file that needs nothing else: axes with their
/// powers (x: 1 KiB, 1 MiB; y: 1 us, 1 ms), a line with marks for each series, a legend. A pure
/// function.
std::string SvgPlot(const std::string& title, const std::vector<PlotSeries>& series);

/// The lines of a measurement: each of ours, and each peer with its best knobs at each size.
/// Out of place; sizes of 0 bytes and cells without a time are left out.
std::vector<PlotSeries> SeriesOf(const BenchResult& result);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_BENCH_SVG_PLOT_H_
