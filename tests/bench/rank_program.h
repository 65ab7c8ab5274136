// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_TESTS_BENCH_RANK_PROGRAM_H_
#define LOCKSTEP_TESTS_BENCH_RANK_PROGRAM_H_

#include <stdint.h>

/* What the ranks of the benchmarks do. In C, so that what is timed is the launcher and not the
 * start of a C++ program.
 *
 *   rank_program wait FIFO        writes a BenchStamp into FIFO first of all, then waits for a
 * signal rank_program write FIFO N     writes N lines to standard output, then as above
 *   rank_program lines N CPU      leaves core CPU to others, writes N lines of 80 bytes, and ends
 *
 * A line is its number in eight digits, a space, letters, and a newline: 80 bytes. */

#define BENCH_LINE_BYTES 80
#define BENCH_LINE_DIGITS 8

/* Less than PIPE_BUF: one write is never torn, so all ranks share one FIFO. */
struct BenchStamp {
  int32_t rank;
  int32_t pid;
  int64_t monotonic_ns; /* CLOCK_MONOTONIC, at the begin of main() */
};

#endif /* LOCKSTEP_TESTS_BENCH_RANK_PROGRAM_H_ */
