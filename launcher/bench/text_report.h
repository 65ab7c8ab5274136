// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_BENCH_TEXT_REPORT_H_
#define LOCKSTEP_LAUNCHER_BENCH_TEXT_REPORT_H_

#include <string>
#include <vector>

#include "collectives/capabilities.h"
#include "launcher/bench/measure.h"

/// What `lockstep bench` prints: columns of nccl-tests, a row for each contender at each size;
/// lines that are no rows begin with '#'. Pure functions.
namespace lockstep::launcher {

/// Who is measured, with what knobs, and the table's head. `cpus`: by rank, empty = not bound.
std::string TableHead(const BenchOptions& options, const BenchResult& result,
                      const std::vector<int>& cpus);
/// The rows of one size.
std::string TableRows(const BenchOptions& options, const BenchResult& result,
                      const SizeResult& size);
/// Wrong elements, ratios with their intervals, and why there is none where there is none.
std::string TableFoot(const BenchOptions& options, const BenchResult& result);

/// `lockstep bench --capabilities`: ops, and reductions by dtype, of each backend.
std::string CapabilityTables(const std::vector<collectives::Capabilities>& backends);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_BENCH_TEXT_REPORT_H_
