// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_BENCH_MEASURE_H_
#define LOCKSTEP_LAUNCHER_BENCH_MEASURE_H_

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "launcher/bench/bench_options.h"
#include "launcher/bench/contestant.h"
#include "launcher/bench/cpu_pressure.h"
#include "launcher/bench/statistics.h"
#include "runtime/base/clock.h"
#include "runtime/base/result.h"

namespace lockstep::launcher {

/// The two ways in which an op is measured, as columns of the table and indices.
enum class BenchMode : uint8_t { kOutOfPlace, kInPlace };
inline constexpr size_t kBenchModes = 2;

/// One contender at one size in one mode.
struct Cell {
  bool supported = true;
  std::string refusal;            // why the contender has no such op; "" where the op has no mode
  std::optional<uint64_t> wrong;  // unset: not checked
  std::vector<double> round_us;   // by round: the median of its iterations
  std::vector<double> all_us;     // iterations of all rounds that count
  std::optional<double> time_us;  // median of the rounds that count; unset: there is none
};

/// A round of one size: all contenders, one after the other, in both modes.
struct Round {
  std::optional<double> pressure;  // share of a processor that others used
  bool valid = true;
};

/// How much faster ours is than a peer, with the peer's best knobs at that size.
struct Ratio {
  size_t ours = 0;  // contenders
  size_t peer = 0;
  BenchMode mode = BenchMode::kOutOfPlace;
  MedianInterval times;  // their time / ours, of rounds paired
};

struct SizeResult {
  uint64_t bytes = 0;
  uint64_t part_count = 0;
  std::vector<std::array<Cell, kBenchModes>> cells;  // by contender
  std::vector<Round> rounds;
  int counted_rounds = 0;     // valid, or all with --allow-pressure
  std::vector<Ratio> ratios;  // empty when too few rounds are valid
};

/// The whole measurement. A value.
struct BenchResult {
  std::vector<Contender> contenders;
  std::vector<std::string> libraries;  // by contender
  std::vector<SizeResult> sizes;
  bool judges_pressure = true;  // false: the kernel does not say
  bool marked = false;          // --allow-pressure let rounds count that are not valid

  uint64_t wrong() const;
  /// Cells that were checked: what wrong() is worth.
  int checked() const;
  /// Sizes at which there are peers and no ratio can be told.
  int sizes_without_ratio() const;
};

/// Geometric mean over the sizes of the ratios of that pair in that mode; nothing when there is
/// none.
struct RatioSummary {
  size_t ours = 0;
  std::string peer;
  BenchMode mode = BenchMode::kOutOfPlace;
  double mean = 0;
  double least = 0;
  int sizes = 0;
};
std::vector<RatioSummary> Summarize(const BenchResult& result);

/// What a contender refused to run in that mode, at so many sizes, and why.
struct Refusal {
  size_t contender = 0;
  BenchMode mode = BenchMode::kOutOfPlace;
  std::string why;
  int sizes = 0;
};
/// By contender and mode; empty when every row ran.
std::vector<Refusal> RefusalsOf(const BenchResult& result);

/// What a measurement works with. Outlives it.
struct MeasureDeps {
  const base::Clock& clock;
  CpuPressure& pressure;
  std::function<void(const BenchResult&)> on_size;  // after each; may be empty
};

/// Measures all `contestants` against each other: size by size, and for each size round by round,
/// in which they take turns, so that whatever disturbs the machine for a while disturbs all.
/// Where the kernel tells of no pressure every round counts. Blocks: for as long as that takes.
/// Errors: those of Contestant::Ask.
base::Result<BenchResult> Measure(const BenchOptions& options,
                                  const std::vector<Contestant*>& contestants,
                                  const MeasureDeps& deps);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_BENCH_MEASURE_H_
