// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// lockstep-bench-mpi-* SOCKET GANG: a rank that `lockstep bench` measures, in the raw calls of the
// MPI that it was compiled against, started by that MPI's mpirun.
#include <limits.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launcher/bench/bench_wire.h"
#include "launcher/bench/ranks/known_values.h"
#include "launcher/bench/ranks/rank_harness.h"

struct world {
  int rank;
  int size;
};

static MPI_Datatype number_type(uint32_t dtype) {
  switch (dtype) {
    case LOCKSTEP_BENCH_BOOL: return MPI_C_BOOL;
    case LOCKSTEP_BENCH_U8: return MPI_UINT8_T;
    case LOCKSTEP_BENCH_I8: return MPI_INT8_T;
    case LOCKSTEP_BENCH_I16: return MPI_INT16_T;
    case LOCKSTEP_BENCH_I32: return MPI_INT32_T;
    case LOCKSTEP_BENCH_I64: return MPI_INT64_T;
    case LOCKSTEP_BENCH_U32: return MPI_UINT32_T;
    case LOCKSTEP_BENCH_U64: return MPI_UINT64_T;
    case LOCKSTEP_BENCH_F32: return MPI_FLOAT;
    case LOCKSTEP_BENCH_F64: return MPI_DOUBLE;
    default: return MPI_DATATYPE_NULL; /* MPI-3 has no 16-bit floats */
  }
}

/* Of ops that only move: any type of that width. */
static MPI_Datatype width_type(uint32_t dtype) {
  switch (dtype) {
    case LOCKSTEP_BENCH_F16:
    case LOCKSTEP_BENCH_BF16: return MPI_INT16_T;
    case LOCKSTEP_BENCH_BOOL:
    case LOCKSTEP_BENCH_F8E4M3:
    case LOCKSTEP_BENCH_F8E5M2: return MPI_BYTE;
    default: return number_type(dtype);
  }
}

static MPI_Op operation(uint32_t dtype, uint32_t reduction) {
  const int is_bool = dtype == LOCKSTEP_BENCH_BOOL;
  const int is_float = dtype == LOCKSTEP_BENCH_F32 || dtype == LOCKSTEP_BENCH_F64;
  switch (reduction) {
    case LOCKSTEP_BENCH_SUM: return is_bool ? MPI_LOR : MPI_SUM;
    case LOCKSTEP_BENCH_PROD: return is_bool ? MPI_LAND : MPI_PROD;
    case LOCKSTEP_BENCH_MIN: return is_bool ? MPI_LAND : MPI_MIN;
    case LOCKSTEP_BENCH_MAX: return is_bool ? MPI_LOR : MPI_MAX;
    case LOCKSTEP_BENCH_BAND: return is_bool ? MPI_LAND : is_float ? MPI_OP_NULL : MPI_BAND;
    case LOCKSTEP_BENCH_BOR: return is_bool ? MPI_LOR : is_float ? MPI_OP_NULL : MPI_BOR;
    case LOCKSTEP_BENCH_BXOR: return is_bool ? MPI_LXOR : is_float ? MPI_OP_NULL : MPI_BXOR;
    default: return MPI_OP_NULL; /* MPI has no average */
  }
}

static int ping_pong(const struct world* world, const struct lockstep_bench_call* call, int count,
                     MPI_Datatype type) {
  if (world->rank > 1) return MPI_SUCCESS;
  const int peer = 1 - world->rank;
  int rc = MPI_SUCCESS;
  if (world->rank == 0) rc = MPI_Send(call->in, count, type, peer, 0, MPI_COMM_WORLD);
  if (rc == MPI_SUCCESS)
    rc = MPI_Recv(call->out, count, type, peer, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  if (rc == MPI_SUCCESS && world->rank == 1)
    rc = MPI_Send(call->in, count, type, peer, 0, MPI_COMM_WORLD);
  return rc;
}

/* In ints, as MPI takes them: the parts of ops whose parts differ, and where they begin; of
 * all_to_all_v those of this rank, to and from all alike. Made anew in each op: a few ns. */
struct parts {
  int counts[LOCKSTEP_BENCH_RANKS_MAX];
  int begins[LOCKSTEP_BENCH_RANKS_MAX];
};

static struct parts uneven(const struct world* world, const struct lockstep_bench_call* call) {
  struct parts parts;
  const int first = call->op == LOCKSTEP_BENCH_ALL_TO_ALL_V ? world->rank : 0;
  int begin = 0;
  for (int i = 0; i < world->size; ++i) {
    parts.counts[i] = (int)lockstep_bench_part_of(call, (first + i) % world->size, world->size);
    parts.begins[i] = begin;
    begin += parts.counts[i];
  }
  return parts;
}

static int move_uneven(const struct world* world, const struct lockstep_bench_call* call,
                       MPI_Datatype type) {
  const struct parts parts = uneven(world, call);
  if (call->op == LOCKSTEP_BENCH_ALL_TO_ALL_V)
    return MPI_Alltoallv(call->in, parts.counts, parts.begins, type, call->out, parts.counts,
                         parts.begins, type, MPI_COMM_WORLD);
  return MPI_Allgatherv(call->in_place ? MPI_IN_PLACE : call->in, parts.counts[world->rank], type,
                        call->out, parts.counts, parts.begins, type, MPI_COMM_WORLD);
}

static int send_around(const struct world* world, const struct lockstep_bench_call* call, int count,
                       MPI_Datatype type) {
  const int next = (world->rank + 1) % world->size;
  const int before = (world->rank + world->size - 1) % world->size;
  return MPI_Sendrecv(call->in, count, type, next, 0, call->out, count, type, before, 0,
                      MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}

static int move(const struct world* world, const struct lockstep_bench_call* call, int count) {
  const MPI_Datatype type = width_type(call->dtype);
  void* const in = call->in_place ? MPI_IN_PLACE : call->in;
  /* Of ops with a root, in place is said on the root alone. */
  void* const at_root = world->rank == call->root ? in : call->in;
  switch (call->op) {
    case LOCKSTEP_BENCH_BROADCAST:
      return MPI_Bcast(call->out, count, type, call->root, MPI_COMM_WORLD);
    case LOCKSTEP_BENCH_ALL_GATHER:
      return MPI_Allgather(in, count, type, call->out, count, type, MPI_COMM_WORLD);
    case LOCKSTEP_BENCH_ALL_TO_ALL:
      return MPI_Alltoall(in, count, type, call->out, count, type, MPI_COMM_WORLD);
    case LOCKSTEP_BENCH_GATHER:
      return MPI_Gather(at_root, count, type, call->out, count, type, call->root, MPI_COMM_WORLD);
    case LOCKSTEP_BENCH_SCATTER:
      if (world->rank == call->root && call->in_place)
        return MPI_Scatter(call->in, count, type, MPI_IN_PLACE, count, type, call->root,
                           MPI_COMM_WORLD);
      return MPI_Scatter(call->in, count, type, call->out, count, type, call->root, MPI_COMM_WORLD);
    case LOCKSTEP_BENCH_ALL_GATHER_V:
    case LOCKSTEP_BENCH_ALL_TO_ALL_V: return move_uneven(world, call, type);
    case LOCKSTEP_BENCH_BATCH: return send_around(world, call, count, type);
    case LOCKSTEP_BENCH_PING_PONG: return ping_pong(world, call, count, type);
    default: return MPI_Barrier(MPI_COMM_WORLD);
  }
}

static int reduce(const struct world* world, const struct lockstep_bench_call* call, int count,
                  MPI_Datatype type, MPI_Op op) {
  void* in = call->in_place ? MPI_IN_PLACE : call->in;
  if (call->op == LOCKSTEP_BENCH_ALL_REDUCE)
    return MPI_Allreduce(in, call->out, count, type, op, MPI_COMM_WORLD);
  if (call->op == LOCKSTEP_BENCH_REDUCE) {
    if (world->rank != call->root) in = call->in;
    return MPI_Reduce(in, call->out, count, type, op, call->root, MPI_COMM_WORLD);
  }
  if (call->op == LOCKSTEP_BENCH_REDUCE_SCATTER_V) {
    const struct parts parts = uneven(world, call);
    return MPI_Reduce_scatter(in, call->out, parts.counts, type, op, MPI_COMM_WORLD);
  }
  return MPI_Reduce_scatter_block(in, call->out, count, type, op, MPI_COMM_WORLD);
}

/* MPI leaves the result of a reduce_scatter in place at the begin of the buffer, not in the place
 * of this rank's part: another op than the one that is compared. */
static int has_in_place(uint32_t op) {
  return op != LOCKSTEP_BENCH_REDUCE_SCATTER && op != LOCKSTEP_BENCH_REDUCE_SCATTER_V;
}

static int refuse(const char* why, char* error) {
  snprintf(error, LOCKSTEP_BENCH_ERROR_BYTES, "%s", why);
  return LOCKSTEP_BENCH_UNSUPPORTED;
}

static int run(void* self, const struct lockstep_bench_call* call, char* error) {
  const struct world* const world = self;
  if (call->count > INT_MAX / (uint64_t)world->size)
    return refuse("an int of MPI does not hold so many elements", error);
  if (call->in_place && !has_in_place(call->op))
    return refuse("in place, MPI leaves the result of a reduce_scatter elsewhere", error);
  const int count = (int)call->count;
  int rc = MPI_SUCCESS;
  if (call->reduction == LOCKSTEP_BENCH_NONE) {
    rc = move(world, call, count);
  } else {
    const MPI_Datatype type = number_type(call->dtype);
    const MPI_Op op = operation(call->dtype, call->reduction);
    if (type == MPI_DATATYPE_NULL) return refuse("MPI reduces no such type", error);
    if (op == MPI_OP_NULL) return refuse("MPI has no such reduction of that type", error);
    rc = reduce(world, call, count, type, op);
  }
  if (rc == MPI_SUCCESS) return LOCKSTEP_BENCH_OK;
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(rc, text, &length);
  snprintf(error, LOCKSTEP_BENCH_ERROR_BYTES, "%.*s", length, text);
  return LOCKSTEP_BENCH_FAILED;
}

int main(int argc, char** argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: %s SOCKET GANG; lockstep bench starts it\n", argv[0]);
    return 64;
  }
  struct world world;
  if (MPI_Init(&argc, &argv) != MPI_SUCCESS) return 70;
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  MPI_Comm_rank(MPI_COMM_WORLD, &world.rank);
  MPI_Comm_size(MPI_COMM_WORLD, &world.size);
  char version[MPI_MAX_LIBRARY_VERSION_STRING];
  int length = 0;
  MPI_Get_library_version(version, &length);
  for (int i = 0; i < length; ++i) { /* its first line, on one line */
    if (version[i] == '\n') version[i] = 0;
    if (version[i] == '\t') version[i] = ' ';
  }
  const struct lockstep_bench_library library = {
      .self = &world, .rank = world.rank, .size = world.size, .name = version, .run = run};
  if (lockstep_bench_serve(&library, argv[1], atoi(argv[2])) != 0) _Exit(1);
  MPI_Finalize();
  return 0;
}
