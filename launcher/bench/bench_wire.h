// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_BENCH_BENCH_WIRE_H_
#define LOCKSTEP_LAUNCHER_BENCH_BENCH_WIRE_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What `lockstep bench` and the ranks that it measures say to each other, over a stream socket in a
 * folder that only their user can enter. In C, since ranks of MPI are. Both ends are of one build
 * and one machine: structs as they lie in memory.
 *
 *   rank                          lockstep bench
 *   hello                    ->
 *                            <-   welcome, with the descriptor of a page that the gang shares
 *                            <-   command
 *   reply, then its samples  ->              ... until LOCKSTEP_BENCH_QUIT, or until one end closes
 *
 * A gang that is given no command sleeps in read(). */

#define LOCKSTEP_BENCH_MAGIC 0x6c736232u /* changes with every change of what follows */
#define LOCKSTEP_BENCH_RANKS_MAX 64
#define LOCKSTEP_BENCH_ITERATIONS_MAX 1000000
#define LOCKSTEP_BENCH_ERROR_BYTES 240
#define LOCKSTEP_BENCH_LIBRARY_BYTES 120
#define LOCKSTEP_BENCH_LINE_BYTES 64 /* of the shared page, for each rank */
#define LOCKSTEP_BENCH_PAGE_BYTES (LOCKSTEP_BENCH_RANKS_MAX * LOCKSTEP_BENCH_LINE_BYTES)

enum lockstep_bench_command_kind {
  LOCKSTEP_BENCH_PREPARE = 1, /* make buffers */
  LOCKSTEP_BENCH_CHECK = 2,   /* one op on known values, every element of its result compared */
  LOCKSTEP_BENCH_TIME = 3,    /* many ops, each timed */
  LOCKSTEP_BENCH_QUIT = 4
};

enum lockstep_bench_outcome {
  LOCKSTEP_BENCH_OK = 0,
  LOCKSTEP_BENCH_UNSUPPORTED = 1, /* the library has no such op; on all ranks alike */
  LOCKSTEP_BENCH_FAILED = 2
};

enum lockstep_bench_op {
  LOCKSTEP_BENCH_ALL_REDUCE = 1,
  LOCKSTEP_BENCH_REDUCE = 2,
  LOCKSTEP_BENCH_BROADCAST = 3,
  LOCKSTEP_BENCH_ALL_GATHER = 4,
  LOCKSTEP_BENCH_REDUCE_SCATTER = 5,
  LOCKSTEP_BENCH_ALL_TO_ALL = 6,
  LOCKSTEP_BENCH_PING_PONG = 7, /* rank 0 sends, rank 1 sends back: both ways are one sample */
  LOCKSTEP_BENCH_BARRIER = 8,
  LOCKSTEP_BENCH_GATHER = 9,
  LOCKSTEP_BENCH_SCATTER = 10,
  LOCKSTEP_BENCH_ALL_GATHER_V = 11,     /* of the _v, parts differ: lockstep_bench_part_of */
  LOCKSTEP_BENCH_REDUCE_SCATTER_V = 12, /* the same */
  LOCKSTEP_BENCH_ALL_TO_ALL_V = 13,     /* the same, by the sum of the two ranks, around */
  LOCKSTEP_BENCH_BATCH = 14             /* each rank sends to the next and receives, at once */
};

/* The numbers of collectives/types.h (bench_op.cc holds them against it). */
enum lockstep_bench_dtype {
  LOCKSTEP_BENCH_BOOL = 1,
  LOCKSTEP_BENCH_U8 = 2,
  LOCKSTEP_BENCH_I8 = 3,
  LOCKSTEP_BENCH_I16 = 4,
  LOCKSTEP_BENCH_I32 = 5,
  LOCKSTEP_BENCH_I64 = 6,
  LOCKSTEP_BENCH_U32 = 7,
  LOCKSTEP_BENCH_U64 = 8,
  LOCKSTEP_BENCH_F16 = 9,
  LOCKSTEP_BENCH_BF16 = 10,
  LOCKSTEP_BENCH_F32 = 11,
  LOCKSTEP_BENCH_F64 = 12,
  LOCKSTEP_BENCH_F8E4M3 = 13,
  LOCKSTEP_BENCH_F8E5M2 = 14
};

enum lockstep_bench_reduction {
  LOCKSTEP_BENCH_NONE = 0,
  LOCKSTEP_BENCH_SUM = 1,
  LOCKSTEP_BENCH_PROD = 2,
  LOCKSTEP_BENCH_MIN = 3,
  LOCKSTEP_BENCH_MAX = 4,
  LOCKSTEP_BENCH_AVG = 5,
  LOCKSTEP_BENCH_PREMUL_SUM = 6,
  LOCKSTEP_BENCH_BAND = 7,
  LOCKSTEP_BENCH_BOR = 8,
  LOCKSTEP_BENCH_BXOR = 9
};

#define LOCKSTEP_BENCH_PREMUL_SCALE 2.0 /* of every rank's input */

struct lockstep_bench_hello {
  uint32_t magic;
  int32_t gang; /* its argument */
  int32_t rank;
  int32_t size;
  int32_t pid;
  char library[LOCKSTEP_BENCH_LIBRARY_BYTES]; /* what it measures, for people; ends with a zero */
};

struct lockstep_bench_welcome {
  int32_t cpu;     /* that the rank binds itself to; -1 = none */
  uint32_t yields; /* there are more ranks than cores: who waits lets others run */
};

struct lockstep_bench_command {
  uint32_t kind;
  uint32_t op;
  uint32_t dtype;
  uint32_t reduction;
  int32_t root;
  uint32_t in_place;
  uint32_t registered; /* PREPARE: memory of the library's own */
  uint32_t warmups;
  uint32_t iterations;
  uint32_t timeout_s;    /* after which the rank ends itself: a net below the caller's deadline */
  uint64_t count;        /* elements of one part */
  uint64_t buffer_bytes; /* PREPARE: of input and output each */
};

struct lockstep_bench_reply {
  uint32_t outcome;
  uint32_t samples; /* TIME: that many uint64_t follow, nanoseconds of each iteration */
  uint64_t wrong;   /* CHECK: elements */
  char error[LOCKSTEP_BENCH_ERROR_BYTES]; /* of FAILED and UNSUPPORTED: why; ends with a zero */
};

/* All of `bytes`. 0; -1 when the other end is gone. Block. */
int lockstep_bench_read(int fd, void* data, size_t bytes);
int lockstep_bench_write(int fd, const void* data, size_t bytes);
/* Bytes with one descriptor, which arrives close-on-exec. 0, -1 as above. */
int lockstep_bench_write_with_fd(int socket, const void* data, size_t bytes, int fd);
int lockstep_bench_read_with_fd(int socket, void* data, size_t bytes, int* fd);

#ifdef __cplusplus
}
#endif

#endif  // LOCKSTEP_LAUNCHER_BENCH_BENCH_WIRE_H_
