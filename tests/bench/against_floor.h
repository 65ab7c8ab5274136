// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_TESTS_BENCH_AGAINST_FLOOR_H_
#define LOCKSTEP_TESTS_BENCH_AGAINST_FLOOR_H_

#include <optional>
#include <string>

#include "tests/bench/bench_run.h"

/// Where ours stands between the best library and the floor, which is what any implementation must
/// at least do on the machine (launcher/bench/ranks/floor_ops.h), measured in the same rounds. Pure
/// functions.
namespace lockstep::bench {

/// The better of the peers that are libraries; empty where there is none.
BenchRow::Peer BestLibrary(const BenchRow::Ours& ours);

/// The floor of the buffers of `ours_name`, "host" or "host plain"; nothing where it was not
/// measured, or the machine was too busy for a ratio.
std::optional<BenchRow::Peer> FloorOf(const BenchRow& row, const std::string& ours_name);

/// In times of the floor's time.
struct FloorPlace {
  double ours = 0;
  double peer = 0;  // the best library
};
/// Nothing where there is no floor, or no library.
std::optional<FloorPlace> PlaceAboveFloor(const BenchRow& row, const std::string& ours_name);

/// Of a missed bar by which ours may take a `bar`-th of the library's time: how far the floor is,
/// and whether the bar lies below it.
std::string FloorText(const FloorPlace& place, double bar);

/// "2.10 (halves; ours 1.12 times)", or "-".
std::string FloorCell(const BenchRow& row, const std::string& ours_name);

/// Where ours was faster beyond doubt, so that what was taken for the floor was none: a sentence;
/// else empty.
std::string BelowFloorText(const BenchRow& row, const std::string& ours_name);

}  // namespace lockstep::bench

#endif  // LOCKSTEP_TESTS_BENCH_AGAINST_FLOOR_H_
