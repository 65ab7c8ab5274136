// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_BENCH_RANKS_RANK_HARNESS_H_
#define LOCKSTEP_LAUNCHER_BENCH_RANKS_RANK_HARNESS_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What every rank program of `lockstep bench` is but for its library: buffers, values, clock and
 * the barrier before each timed op are the same code for all who are compared. One thread. */

/* One op, on buffers laid out as collectives/engine/op.h says: `count` is the elements of one part.
 * in == out (or, where parts differ, the place of this rank's part in the other): in place. */
struct lockstep_bench_call {
  uint32_t op;        /* enum lockstep_bench_op */
  uint32_t dtype;     /* enum lockstep_bench_dtype */
  uint32_t reduction; /* enum lockstep_bench_reduction; NONE of ops that only move */
  int32_t root;
  uint32_t in_place;
  uint64_t count;
  void* in;
  void* out;
};

/* A library that is measured: what a rank program fills in. The functions are called on all ranks
 * alike. */
struct lockstep_bench_library {
  void* self;
  int rank;
  int size;
  const char* name; /* with its version */
  /* Returns an enum lockstep_bench_outcome; unless OK it has written why. UNSUPPORTED only where
   * every rank returns that, and then nothing was done. Blocks until the op has ended here. */
  int (*run)(void* self, const struct lockstep_bench_call* call,
             char error[/* LOCKSTEP_BENCH_ERROR_BYTES */]);
  /* Memory that the library handles better than any other, aligned to a page, for the rest of the
   * process. Null when it cannot, and then it has written why. Null itself: it has no such memory.
   * */
  void* (*allocate)(void* self, size_t bytes, char error[]);
  /* Of a library whose buffers are elsewhere (on a GPU): before an op whose values are checked,
   * takes there what lies in the memory of allocate(), and after it brings that back. 0, or it has
   * written why not. Null: run() works in the memory itself. */
  int (*take)(void* self, char error[]);
  int (*bring)(void* self, char error[]);
};

/* Serves `lockstep bench` at `socket_path` as a rank of its gang number `gang` until it says that
 * it is over (returns 0) or is gone (returns 1: the other ranks may be anywhere, so exit without
 * parting from them in an orderly way). Errors are told to `lockstep bench`, or on stderr. */
int lockstep_bench_serve(const struct lockstep_bench_library* library, const char* socket_path,
                         int gang);

#ifdef __cplusplus
}
#endif

#endif  // LOCKSTEP_LAUNCHER_BENCH_RANKS_RANK_HARNESS_H_
