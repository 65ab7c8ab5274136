// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
/* NCCL's functions that are wrapped: all that make or end communicators, put ops on streams, or
 * tell how far these are. */
#include "collectives/nccl/shim/makings.h"
#include "collectives/nccl/shim/recording.h"
#include "collectives/shim/attaching.h"
#include "collectives/shim/recorded_values.h"

#define EXPORTED __attribute__((visibility("default")))

/* The real function, of which threads that come here at once find the same. One that the library
 * has not is refused, as wrong usage: a program that asks for it by name finds this object's. */
#define REAL(name, parameters)                                    \
  const void* const caller = __builtin_return_address(0);         \
  typedef int(*real_function) parameters;                         \
  static real_function found;                                     \
  real_function real = __atomic_load_n(&found, __ATOMIC_RELAXED); \
  if (real == NULL) {                                             \
    *(void**)&real = shim_find(#name, caller);                    \
    if (real == NULL) return no_such_function(#name);             \
    __atomic_store_n(&found, real, __ATOMIC_RELAXED);             \
  }

static int no_such_function(const char* name) {
  shim_say_unrecorded("NCCL", "the library that is loaded has no ", name);
  return SHIM_NCCL_INVALID_USAGE;
}

/* ------------------------------------------------------------------------------------------ ops */

#define OP(Name, kind_, parameters, arguments, ...)        \
  EXPORTED int nccl##Name parameters;                      \
  int nccl##Name parameters {                              \
    REAL(nccl##Name, parameters)                           \
    if (!shim_records(caller)) return real arguments;      \
    struct shim_call call = {.name = #Name,                \
                             .caller = caller,             \
                             .handle = comm,               \
                             .kind = kind_,                \
                             .dtype = shim_dtype_of(type), \
                             .count = count,               \
                             .stream = stream,             \
                             __VA_ARGS__};                 \
    shim_begin_op(&call);                                  \
    const int code = real arguments;                       \
    shim_end_op(&call, code);                              \
    return code;                                           \
  }

#define REDUCED .peer = -1, .reduction = shim_reduction_of(op)
#define ROOTED .peer = root

OP(AllReduce, SHIM_ALL_REDUCE,
   (const void* in, void* out, size_t count, int type, int op, shim_nccl_comm comm,
    shim_stream stream),
   (in, out, count, type, op, comm, stream), REDUCED)
OP(Reduce, SHIM_REDUCE,
   (const void* in, void* out, size_t count, int type, int op, int root, shim_nccl_comm comm,
    shim_stream stream),
   (in, out, count, type, op, root, comm, stream), ROOTED, .reduction = shim_reduction_of(op))
OP(ReduceScatter, SHIM_REDUCE_SCATTER,
   (const void* in, void* out, size_t count, int type, int op, shim_nccl_comm comm,
    shim_stream stream),
   (in, out, count, type, op, comm, stream), REDUCED)
OP(Broadcast, SHIM_BROADCAST,
   (const void* in, void* out, size_t count, int type, int root, shim_nccl_comm comm,
    shim_stream stream),
   (in, out, count, type, root, comm, stream), ROOTED)
OP(Bcast, SHIM_BROADCAST,
   (void* data, size_t count, int type, int root, shim_nccl_comm comm, shim_stream stream),
   (data, count, type, root, comm, stream), ROOTED)
OP(AllGather, SHIM_ALL_GATHER,
   (const void* in, void* out, size_t count, int type, shim_nccl_comm comm, shim_stream stream),
   (in, out, count, type, comm, stream), .peer = -1)
OP(AlltoAll, SHIM_ALL_TO_ALL,
   (const void* in, void* out, size_t count, int type, shim_nccl_comm comm, shim_stream stream),
   (in, out, count, type, comm, stream), .peer = -1)
OP(Gather, SHIM_GATHER,
   (const void* in, void* out, size_t count, int type, int root, shim_nccl_comm comm,
    shim_stream stream),
   (in, out, count, type, root, comm, stream), ROOTED)
OP(Scatter, SHIM_SCATTER,
   (const void* in, void* out, size_t count, int type, int root, shim_nccl_comm comm,
    shim_stream stream),
   (in, out, count, type, root, comm, stream), ROOTED)
OP(Send, SHIM_SEND_KIND,
   (const void* in, size_t count, int type, int peer_, shim_nccl_comm comm, shim_stream stream),
   (in, count, type, peer_, comm, stream), .peer = peer_)
OP(Recv, SHIM_RECV_KIND,
   (void* out, size_t count, int type, int peer_, shim_nccl_comm comm, shim_stream stream),
   (out, count, type, peer_, comm, stream), .peer = peer_)

/* --------------------------------------------------------------------------------------- groups */

EXPORTED int ncclGroupStart(void);
int ncclGroupStart(void) {
  REAL(ncclGroupStart, (void))
  if (!shim_records(caller)) return real();
  shim_set_inside(true);
  const int code = real();
  shim_end_group_start(code);
  return code;
}

EXPORTED int ncclGroupEnd(void);
int ncclGroupEnd(void) {
  REAL(ncclGroupEnd, (void))
  if (!shim_records(caller)) return real();
  shim_begin_group_end();
  const int code = real();
  shim_end_group_end(code, true);
  return code;
}

EXPORTED int ncclGroupSimulateEnd(void* info);
int ncclGroupSimulateEnd(void* info) {
  REAL(ncclGroupSimulateEnd, (void*))
  if (!shim_records(caller)) return real(info);
  shim_begin_group_end();
  const int code = real(info);
  shim_end_group_end(code, false);
  return code;
}

/* -------------------------------------------------------------------------------- communicators */

#define CALL(Name, kind_, handle_) \
  struct shim_call call = {        \
      .name = Name, .caller = caller, .handle = handle_, .kind = kind_, .peer = -1}

#define MAKING(arguments, begin)            \
  struct shim_making* const making = begin; \
  const int code = real arguments;          \
  shim_end_making(making, code);            \
  return code;

EXPORTED int ncclCommInitRank(shim_nccl_comm* made, int size, struct shim_unique_id id, int rank);
int ncclCommInitRank(shim_nccl_comm* made, int size, struct shim_unique_id id, int rank) {
  REAL(ncclCommInitRank, (shim_nccl_comm*, int, struct shim_unique_id, int))
  if (!shim_records(caller)) return real(made, size, id, rank);
  CALL("CommInitRank", SHIM_INIT_KIND, NULL);
  MAKING((made, size, id, rank), shim_begin_init(&call, &id, size, rank, made))
}

EXPORTED int ncclCommInitRankConfig(shim_nccl_comm* made, int size, struct shim_unique_id id,
                                    int rank, void* config);
int ncclCommInitRankConfig(shim_nccl_comm* made, int size, struct shim_unique_id id, int rank,
                           void* config) {
  REAL(ncclCommInitRankConfig, (shim_nccl_comm*, int, struct shim_unique_id, int, void*))
  if (!shim_records(caller)) return real(made, size, id, rank, config);
  CALL("CommInitRank", SHIM_INIT_KIND, NULL);
  MAKING((made, size, id, rank, config), shim_begin_init(&call, &id, size, rank, made))
}

/* Of several ids, the same for all members, the first tells groups apart. */
EXPORTED int ncclCommInitRankScalable(shim_nccl_comm* made, int size, int rank, int id_count,
                                      struct shim_unique_id* ids, void* config);
int ncclCommInitRankScalable(shim_nccl_comm* made, int size, int rank, int id_count,
                             struct shim_unique_id* ids, void* config) {
  REAL(ncclCommInitRankScalable, (shim_nccl_comm*, int, int, int, struct shim_unique_id*, void*))
  if (!shim_records(caller)) return real(made, size, rank, id_count, ids, config);
  CALL("CommInitRank", SHIM_INIT_KIND, NULL);
  MAKING((made, size, rank, id_count, ids, config),
         ids != NULL ? shim_begin_init(&call, ids, size, rank, made) : NULL)
}

/* All members are this process: no other rank can hold them up. */
EXPORTED int ncclCommInitAll(shim_nccl_comm* made, int count, const int* devices);
int ncclCommInitAll(shim_nccl_comm* made, int count, const int* devices) {
  REAL(ncclCommInitAll, (shim_nccl_comm*, int, const int*))
  if (!shim_records(caller)) return real(made, count, devices);
  shim_set_inside(true);
  const int code = real(made, count, devices);
  shim_set_inside(false);
  return code;
}

EXPORTED int ncclCommSplit(shim_nccl_comm comm, int color, int key, shim_nccl_comm* made,
                           void* config);
int ncclCommSplit(shim_nccl_comm comm, int color, int key, shim_nccl_comm* made, void* config) {
  REAL(ncclCommSplit, (shim_nccl_comm, int, int, shim_nccl_comm*, void*))
  if (!shim_records(caller)) return real(comm, color, key, made, config);
  CALL("CommSplit", SHIM_SPLIT, comm);
  MAKING((comm, color, key, made, config), shim_begin_split(&call, color, made))
}

EXPORTED int ncclCommShrink(shim_nccl_comm comm, int* excluded, int count, shim_nccl_comm* made,
                            void* config, int flags);
int ncclCommShrink(shim_nccl_comm comm, int* excluded, int count, shim_nccl_comm* made,
                   void* config, int flags) {
  REAL(ncclCommShrink, (shim_nccl_comm, int*, int, shim_nccl_comm*, void*, int))
  if (!shim_records(caller)) return real(comm, excluded, count, made, config, flags);
  CALL("CommShrink", SHIM_SHRINK, comm);
  MAKING((comm, excluded, count, made, config, flags),
         shim_begin_shrink(&call, excluded, count, made))
}

EXPORTED int ncclCommGetAsyncError(shim_nccl_comm comm, int* state);
int ncclCommGetAsyncError(shim_nccl_comm comm, int* state) {
  REAL(ncclCommGetAsyncError, (shim_nccl_comm, int*))
  const int code = real(comm, state);
  if (shim_records(caller) && code == SHIM_NCCL_OK) shim_hear_state(comm, *state);
  return code;
}

/* `Name`: of the record; NULL: none. */
#define ENDING(Function, Name, is_gone, state)          \
  EXPORTED int ncclComm##Function(shim_nccl_comm comm); \
  int ncclComm##Function(shim_nccl_comm comm) {         \
    REAL(ncclComm##Function, (shim_nccl_comm))          \
    if (!shim_records(caller)) return real(comm);       \
    CALL(Name, SHIM_NO_KIND, comm);                     \
    shim_begin_ending(&call);                           \
    const int code = real(comm);                        \
    shim_end_ending(&call, code, is_gone, state);       \
    return code;                                        \
  }

/* Some finalize before they destroy, some do not: one op, of one name. */
ENDING(Finalize, "Finalize", false, LOCKSTEP_RECORD_COMPLETED)
ENDING(Destroy, "Finalize", true, LOCKSTEP_RECORD_COMPLETED)
ENDING(Abort, NULL, true, LOCKSTEP_RECORD_ABORTED)
