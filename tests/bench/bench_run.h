// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_TESTS_BENCH_BENCH_RUN_H_
#define LOCKSTEP_TESTS_BENCH_BENCH_RUN_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/e2e/command.h"

/// What `lockstep bench` found, read from its JSON output.
namespace lockstep::bench {

/// One size, out of place.
struct BenchRow {
  /// The peer whose best knobs were the best of its kind, and how many times our time it took.
  struct Peer {
    std::string best;  // with its knobs
    double time_us = 0;
    double ratio = 0;  // the median over the rounds, and the ends of its interval
    double low = 0;
    double high = 0;
  };
  struct Ours {
    double time_us = 0;
    double p50_us = 0;  // of single measurements
    double p99_us = 0;
    double bus_gb_s = 0;
    std::map<std::string, Peer> peers;  // by kind: "openmpi", "mpich", "gloo", "floor"
  };

  uint64_t bytes = 0;
  bool judged = false;  // in enough rounds nobody else used the processors; else no ratio is known
  std::map<std::string, Ours> ours;  // by name: "tcp", "host", "host plain"
};

struct BenchRun {
  bool ok = false;   // else it failed, and has said why
  double wrong = 0;  // elements
  std::vector<BenchRow> rows;
};

/// Reads and removes `path`, into which a run with `-J` has written, and which ended as `outcome`
/// says: 0, or that something was unavailable where it tells no ratio; with anything else it has
/// failed, whatever it has written. What failed goes to the standard error output.
BenchRun ReadBenchRun(const e2e::Outcome& outcome, const std::string& path);

}  // namespace lockstep::bench

#endif  // LOCKSTEP_TESTS_BENCH_BENCH_RUN_H_
