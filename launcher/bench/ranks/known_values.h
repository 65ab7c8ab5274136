// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_BENCH_RANKS_KNOWN_VALUES_H_
#define LOCKSTEP_LAUNCHER_BENCH_RANKS_KNOWN_VALUES_H_

#include <stddef.h>
#include <stdint.h>

#include "launcher/bench/ranks/rank_harness.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Inputs whose results are exact in every dtype, whatever the order of the additions: small whole
 * numbers, so that results are compared bit by bit. An average in f8 of ranks whose number is no
 * power of two is the exception: libraries divide before they add, and round. Pure functions. */

size_t lockstep_bench_dtype_bytes(uint32_t dtype);

/* Elements of part `part` of `size` of the ops whose name ends with _v, and of all before it. Of
 * two neighbours one has half of call->count, the other what that lacks; the last of an odd number
 * has call->count: they are `size` times call->count together. In all_to_all_v `from` gives `to`
 * the part (from + to) % size. */
uint64_t lockstep_bench_part_of(const struct lockstep_bench_call* call, int part, int size);
uint64_t lockstep_bench_parts_before(const struct lockstep_bench_call* call, int part, int size);

/* Elements of the whole input and output of the call on `rank` of `size`; 0 where it has none. */
uint64_t lockstep_bench_in_count(const struct lockstep_bench_call* call, int rank, int size);
uint64_t lockstep_bench_out_count(const struct lockstep_bench_call* call, int rank, int size);

/* Writes the input of `rank`. */
void lockstep_bench_fill(const struct lockstep_bench_call* call, int rank, int size);
/* How many elements of the output of `rank` are not what they must be. */
uint64_t lockstep_bench_count_wrong(const struct lockstep_bench_call* call, int rank, int size);

/* A word of memory full of ones of that dtype, to rewrite inputs with. */
uint64_t lockstep_bench_word_of_ones(uint32_t dtype);

#ifdef __cplusplus
}
#endif

#endif  // LOCKSTEP_LAUNCHER_BENCH_RANKS_KNOWN_VALUES_H_
