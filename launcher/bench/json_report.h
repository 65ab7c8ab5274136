// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_BENCH_JSON_REPORT_H_
#define LOCKSTEP_LAUNCHER_BENCH_JSON_REPORT_H_

#include <string>
#include <vector>

#include "launcher/bench/measure.h"

namespace lockstep::launcher {

/// What figures depend on beside the options.
struct BenchMachine {
  std::string version;   // of lockstep
  std::string end_time;  // "2026-01-31T12:00:00Z"
  std::string cpu;       // the processor's model
  std::string kernel;
  int cores = 0;
  std::vector<int> cpus;  // by rank; empty = not bound
};

/// The document of -J, whose schema is in docs/launch/bench.md. A pure function.
std::string JsonReport(const BenchOptions& options, const BenchMachine& machine,
                       const BenchResult& result);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_BENCH_JSON_REPORT_H_
