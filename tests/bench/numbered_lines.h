// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_TESTS_BENCH_NUMBERED_LINES_H_
#define LOCKSTEP_TESTS_BENCH_NUMBERED_LINES_H_

#include <cstdint>
#include <string>

namespace lockstep::bench {

/// What became of the lines of rank_program's ranks.
struct Arrived {
  int64_t whole = 0;
  int64_t out_of_order = 0;  // of the whole ones: not the one after the last of its rank
  int64_t backwards = 0;     // of these: it, or a later one of its rank, has come already
  int64_t torn = 0;          // longer, shorter or other than what a rank writes

  bool all(int64_t lines) const { return whole == lines && out_of_order == 0 && torn == 0; }
};

/// Reads lines with any prefix before each; what has the same prefix is one rank's.
Arrived CheckLines(const std::string& path);

/// In how many files below `folder`, one for each rank, all of its `lines` are in order.
int CountWholeFiles(const std::string& folder, int64_t lines);

}  // namespace lockstep::bench

#endif  // LOCKSTEP_TESTS_BENCH_NUMBERED_LINES_H_
