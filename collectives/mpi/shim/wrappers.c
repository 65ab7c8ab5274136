// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
/* MPI's functions that are wrapped, one row each: its name, that of Fortran, how many arguments it
 * has, what it does, and where its arguments of interest stand. A row defines MPI_Name and
 * mpi_name_; that of a collective also MPI_Iname and mpi_iname_. */
#include "collectives/mpi/shim/recording.h"
#include "collectives/shim/recorded_values.h"

#define EXPORTED __attribute__((visibility("default")))

#define JOIN(a, b) JOIN_EXPANDED(a, b)
#define JOIN_EXPANDED(a, b) a##b

#define SUCCESSOR_0 1
#define SUCCESSOR_1 2
#define SUCCESSOR_2 3
#define SUCCESSOR_3 4
#define SUCCESSOR_4 5
#define SUCCESSOR_5 6
#define SUCCESSOR_6 7
#define SUCCESSOR_7 8
#define SUCCESSOR_8 9
#define SUCCESSOR_9 10
#define SUCCESSOR_10 11
#define SUCCESSOR_11 12
#define SUCCESSOR_12 13
#define SUCCESSOR(count) JOIN(SUCCESSOR_, count)

#define WORDS_0 void
#define WORDS_1 shim_word a1
#define WORDS_2 WORDS_1, shim_word a2
#define WORDS_3 WORDS_2, shim_word a3
#define WORDS_4 WORDS_3, shim_word a4
#define WORDS_5 WORDS_4, shim_word a5
#define WORDS_6 WORDS_5, shim_word a6
#define WORDS_7 WORDS_6, shim_word a7
#define WORDS_8 WORDS_7, shim_word a8
#define WORDS_9 WORDS_8, shim_word a9
#define WORDS_10 WORDS_9, shim_word a10
#define WORDS_11 WORDS_10, shim_word a11
#define WORDS_12 WORDS_11, shim_word a12
#define WORDS_13 WORDS_12, shim_word a13

#define NAMES_0
#define NAMES_1 , a1
#define NAMES_2 NAMES_1, a2
#define NAMES_3 NAMES_2, a3
#define NAMES_4 NAMES_3, a4
#define NAMES_5 NAMES_4, a5
#define NAMES_6 NAMES_5, a6
#define NAMES_7 NAMES_6, a7
#define NAMES_8 NAMES_7, a8
#define NAMES_9 NAMES_8, a9
#define NAMES_10 NAMES_9, a10
#define NAMES_11 NAMES_10, a11
#define NAMES_12 NAMES_11, a12
#define NAMES_13 NAMES_12, a13

#define ARGUMENTS_0
#define ARGUMENTS_1 a[1]
#define ARGUMENTS_2 ARGUMENTS_1, a[2]
#define ARGUMENTS_3 ARGUMENTS_2, a[3]
#define ARGUMENTS_4 ARGUMENTS_3, a[4]
#define ARGUMENTS_5 ARGUMENTS_4, a[5]
#define ARGUMENTS_6 ARGUMENTS_5, a[6]
#define ARGUMENTS_7 ARGUMENTS_6, a[7]
#define ARGUMENTS_8 ARGUMENTS_7, a[8]
#define ARGUMENTS_9 ARGUMENTS_8, a[9]
#define ARGUMENTS_10 ARGUMENTS_9, a[10]
#define ARGUMENTS_11 ARGUMENTS_10, a[11]
#define ARGUMENTS_12 ARGUMENTS_11, a[12]
#define ARGUMENTS_13 ARGUMENTS_12, a[13]

/* Threads that come here at once find the same. */
#define REAL(type, c_name, profiling_name, caller)                \
  static type found_;                                             \
  type real = __atomic_load_n(&found_, __ATOMIC_RELAXED);         \
  if (real == 0) {                                                \
    *(void**)&real = shim_real(#c_name, #profiling_name, caller); \
    __atomic_store_n(&found_, real, __ATOMIC_RELAXED);            \
  }

#define WRAP_C(Name, function_, count)                                      \
  EXPORTED int MPI_##Name(WORDS_##count);                                   \
  int MPI_##Name(WORDS_##count) {                                           \
    const void* const caller = __builtin_return_address(0);                 \
    const bool records = shim_records(caller, function_.role == SHIM_INIT); \
    typedef int (*real_function)(WORDS_##count);                            \
    REAL(real_function, MPI_##Name, PMPI_##Name, caller)                    \
    shim_word a[] = {0 NAMES_##count};                                      \
    if (!records) return real(ARGUMENTS_##count);                           \
    struct shim_call call;                                                  \
    call.function = &function_;                                             \
    call.arguments = a;                                                     \
    call.is_fortran = false;                                                \
    call.caller = caller;                                                   \
    shim_begin(&call);                                                      \
    const int code = real(ARGUMENTS_##count);                               \
    shim_end(&call, code);                                                  \
    return code;                                                            \
  }

/* One argument more than in C: the error code, last. */
#define WRAP_FORTRAN(name, function_, count)                                \
  EXPORTED void mpi_##name##_(JOIN(WORDS_, count));                         \
  void mpi_##name##_(JOIN(WORDS_, count)) {                                 \
    const void* const caller = __builtin_return_address(0);                 \
    const bool records = shim_records(caller, function_.role == SHIM_INIT); \
    typedef void (*real_function)(JOIN(WORDS_, count));                     \
    REAL(real_function, mpi_##name##_, pmpi_##name##_, caller)              \
    shim_word a[] = {0 JOIN(NAMES_, count)};                                \
    if (!records) {                                                         \
      real(JOIN(ARGUMENTS_, count));                                        \
      return;                                                               \
    }                                                                       \
    if (!shim_records_fortran()) {                                          \
      shim_set_fortran_caller(caller);                                      \
      real(JOIN(ARGUMENTS_, count));                                        \
      shim_set_fortran_caller(0);                                           \
      return;                                                               \
    }                                                                       \
    struct shim_call call;                                                  \
    call.function = &function_;                                             \
    call.arguments = a;                                                     \
    call.is_fortran = true;                                                 \
    call.caller = caller;                                                   \
    shim_begin(&call);                                                      \
    real(JOIN(ARGUMENTS_, count));                                          \
    shim_end_fortran(&call, count);                                         \
  }

#define FUNCTION(Name, fortran_name, count, role_, ...)                                            \
  static const struct shim_function function_##Name = {.name = #Name, .role = role_, __VA_ARGS__}; \
  WRAP_C(Name, function_##Name, count)                                                             \
  WRAP_FORTRAN(fortran_name, function_##Name, SUCCESSOR(count))

#define COLLECTIVE(Name, fortran_name, count, ...)                  \
  FUNCTION(Name, fortran_name, count, SHIM_COLLECTIVE, __VA_ARGS__) \
  NONBLOCKING(I##fortran_name, i##fortran_name, SUCCESSOR(count), __VA_ARGS__)
/* So that the count is a number before it is joined. */
#define NONBLOCKING(Name, fortran_name, count, ...) \
  NONBLOCKING_EXPANDED(Name, fortran_name, count, __VA_ARGS__)
#define NONBLOCKING_EXPANDED(Name, fortran_name, count, ...) \
  FUNCTION(Name, fortran_name, count, SHIM_COLLECTIVE, __VA_ARGS__, .request = count)

// clang-format off
FUNCTION(Finalize, finalize, 0, SHIM_FINALIZE)
FUNCTION(Abort, abort, 2, SHIM_ABORT, .comm = 1)

COLLECTIVE(Barrier, barrier, 1, .kind = SHIM_BARRIER, .comm = 1)
COLLECTIVE(Bcast, bcast, 5, .kind = SHIM_BROADCAST, .count = 2, .type = 3, .root = 4, .comm = 5)
COLLECTIVE(Reduce, reduce, 7, .kind = SHIM_REDUCE, .count = 3, .type = 4, .reduction = 5, .root = 6,
           .comm = 7)
COLLECTIVE(Allreduce, allreduce, 6, .kind = SHIM_ALL_REDUCE, .count = 3, .type = 4, .reduction = 5,
           .comm = 6)
COLLECTIVE(Gather, gather, 8, .kind = SHIM_GATHER, .count = 2, .type = 3, .in_place = 1,
           .other_count = 5, .other_type = 6, .root = 7, .comm = 8)
COLLECTIVE(Gatherv, gatherv, 9, .kind = SHIM_GATHER, .own_counts = true, .count = 2, .type = 3,
           .in_place = 1, .other_type = 7, .root = 8, .comm = 9)
COLLECTIVE(Scatter, scatter, 8, .kind = SHIM_SCATTER, .count = 5, .type = 6, .in_place = 4,
           .other_count = 2, .other_type = 3, .root = 7, .comm = 8)
COLLECTIVE(Scatterv, scatterv, 9, .kind = SHIM_SCATTER, .own_counts = true, .count = 6, .type = 7,
           .in_place = 5, .other_type = 4, .root = 8, .comm = 9)
COLLECTIVE(Allgather, allgather, 7, .kind = SHIM_ALL_GATHER, .count = 5, .type = 6, .comm = 7)
COLLECTIVE(Allgatherv, allgatherv, 8, .kind = SHIM_ALL_GATHER_V, .own_counts = true, .count = 2,
           .type = 3, .in_place = 1, .other_type = 7, .comm = 8)
COLLECTIVE(Alltoall, alltoall, 7, .kind = SHIM_ALL_TO_ALL, .count = 5, .type = 6, .comm = 7)
COLLECTIVE(Alltoallv, alltoallv, 9, .kind = SHIM_ALL_TO_ALL_V, .own_counts = true, .type = 8,
           .comm = 9)
COLLECTIVE(Alltoallw, alltoallw, 9, .kind = SHIM_ALL_TO_ALL_V, .own_counts = true, .comm = 9)
COLLECTIVE(Reduce_scatter, reduce_scatter, 6, .kind = SHIM_REDUCE_SCATTER_V, .counts = 3, .type = 4,
           .reduction = 5, .comm = 6)
COLLECTIVE(Reduce_scatter_block, reduce_scatter_block, 6, .kind = SHIM_REDUCE_SCATTER, .count = 3,
           .type = 4, .reduction = 5, .comm = 6)
COLLECTIVE(Scan, scan, 6, .count = 3, .type = 4, .reduction = 5, .comm = 6)
COLLECTIVE(Exscan, exscan, 6, .count = 3, .type = 4, .reduction = 5, .comm = 6)

FUNCTION(Comm_dup, comm_dup, 2, SHIM_MAKE_COMM, .kind = SHIM_SPLIT, .comm = 1, .made = 2)
FUNCTION(Comm_dup_with_info, comm_dup_with_info, 3, SHIM_MAKE_COMM, .kind = SHIM_SPLIT, .comm = 1,
         .made = 3)
FUNCTION(Comm_split, comm_split, 4, SHIM_MAKE_COMM, .kind = SHIM_SPLIT, .comm = 1, .made = 4)
FUNCTION(Comm_split_type, comm_split_type, 5, SHIM_MAKE_COMM, .kind = SHIM_SPLIT, .comm = 1,
         .made = 5)
FUNCTION(Comm_create, comm_create, 3, SHIM_MAKE_COMM, .kind = SHIM_SPLIT, .comm = 1, .made = 3)
FUNCTION(Comm_create_group, comm_create_group, 4, SHIM_MAKE_COMM_OF_SOME, .comm = 1, .made = 4)
FUNCTION(Cart_create, cart_create, 6, SHIM_MAKE_COMM, .kind = SHIM_SPLIT, .comm = 1, .made = 6)
FUNCTION(Cart_sub, cart_sub, 3, SHIM_MAKE_COMM, .kind = SHIM_SPLIT, .comm = 1, .made = 3)
FUNCTION(Graph_create, graph_create, 6, SHIM_MAKE_COMM, .kind = SHIM_SPLIT, .comm = 1, .made = 6)
FUNCTION(Dist_graph_create, dist_graph_create, 9, SHIM_MAKE_COMM, .kind = SHIM_SPLIT, .comm = 1,
         .made = 9)
FUNCTION(Dist_graph_create_adjacent, dist_graph_create_adjacent, 10, SHIM_MAKE_COMM,
         .kind = SHIM_SPLIT, .comm = 1, .made = 10)
FUNCTION(Comm_free, comm_free, 1, SHIM_FREE_COMM, .comm = 1)
FUNCTION(Comm_disconnect, comm_disconnect, 1, SHIM_FREE_COMM, .comm = 1)
FUNCTION(Type_free, type_free, 1, SHIM_FREE_TYPE, .type = 1)

FUNCTION(Send, send, 6, SHIM_SEND, .count = 2, .type = 3, .peer = 4, .comm = 6)
FUNCTION(Ssend, ssend, 6, SHIM_SEND, .count = 2, .type = 3, .peer = 4, .comm = 6)
FUNCTION(Bsend, bsend, 6, SHIM_SEND, .count = 2, .type = 3, .peer = 4, .comm = 6)
FUNCTION(Rsend, rsend, 6, SHIM_SEND, .count = 2, .type = 3, .peer = 4, .comm = 6)
FUNCTION(Recv, recv, 7, SHIM_RECV, .count = 2, .type = 3, .peer = 4, .comm = 6, .status = 7)
FUNCTION(Isend, isend, 7, SHIM_SEND, .count = 2, .type = 3, .peer = 4, .comm = 6, .request = 7)
FUNCTION(Issend, issend, 7, SHIM_SEND, .count = 2, .type = 3, .peer = 4, .comm = 6, .request = 7)
FUNCTION(Ibsend, ibsend, 7, SHIM_SEND, .count = 2, .type = 3, .peer = 4, .comm = 6, .request = 7)
FUNCTION(Irsend, irsend, 7, SHIM_SEND, .count = 2, .type = 3, .peer = 4, .comm = 6, .request = 7)
FUNCTION(Irecv, irecv, 7, SHIM_RECV, .count = 2, .type = 3, .peer = 4, .comm = 6, .request = 7)
FUNCTION(Sendrecv, sendrecv, 12, SHIM_SEND_RECV, .count = 2, .type = 3, .peer = 4, .recv_count = 7,
         .recv_type = 8, .recv_peer = 9, .comm = 11, .status = 12)
FUNCTION(Sendrecv_replace, sendrecv_replace, 9, SHIM_SEND_RECV, .count = 2, .type = 3, .peer = 4,
         .recv_count = 2, .recv_type = 3, .recv_peer = 6, .comm = 8, .status = 9)
FUNCTION(Probe, probe, 4, SHIM_PROBE, .peer = 1, .comm = 3)
FUNCTION(Mprobe, mprobe, 5, SHIM_RECV, .peer = 1, .comm = 3, .status = 5)
FUNCTION(Improbe, improbe, 6, SHIM_TRY_MATCH, .peer = 1, .comm = 3, .flag = 4, .status = 6)

FUNCTION(Send_init, send_init, 7, SHIM_PERSISTENT_SEND, .count = 2, .type = 3, .peer = 4, .comm = 6,
         .request = 7)
FUNCTION(Ssend_init, ssend_init, 7, SHIM_PERSISTENT_SEND, .count = 2, .type = 3, .peer = 4,
         .comm = 6, .request = 7)
FUNCTION(Bsend_init, bsend_init, 7, SHIM_PERSISTENT_SEND, .count = 2, .type = 3, .peer = 4,
         .comm = 6, .request = 7)
FUNCTION(Rsend_init, rsend_init, 7, SHIM_PERSISTENT_SEND, .count = 2, .type = 3, .peer = 4,
         .comm = 6, .request = 7)
FUNCTION(Recv_init, recv_init, 7, SHIM_PERSISTENT_RECV, .count = 2, .type = 3, .peer = 4, .comm = 6,
         .request = 7)
FUNCTION(Start, start, 1, SHIM_START, .requests = 1)
FUNCTION(Startall, startall, 2, SHIM_START, .request_count = 1, .requests = 2)

FUNCTION(Wait, wait, 2, SHIM_WAIT, .requests = 1, .statuses = 2)
FUNCTION(Waitall, waitall, 3, SHIM_WAIT, .request_count = 1, .requests = 2, .statuses = 3)
FUNCTION(Waitany, waitany, 4, SHIM_WAIT, .request_count = 1, .requests = 2, .index = 3,
         .statuses = 4)
FUNCTION(Waitsome, waitsome, 5, SHIM_WAIT, .request_count = 1, .requests = 2, .index_count = 3,
         .indices = 4, .statuses = 5)
FUNCTION(Test, test, 3, SHIM_TEST, .requests = 1, .flag = 2, .statuses = 3)
FUNCTION(Testall, testall, 4, SHIM_TEST, .request_count = 1, .requests = 2, .flag = 3,
         .statuses = 4)
FUNCTION(Testany, testany, 5, SHIM_TEST, .request_count = 1, .requests = 2, .index = 3, .flag = 4,
         .statuses = 5)
FUNCTION(Testsome, testsome, 5, SHIM_TEST, .request_count = 1, .requests = 2, .index_count = 3,
         .indices = 4, .statuses = 5)
FUNCTION(Request_free, request_free, 1, SHIM_FREE_REQUEST, .requests = 1)
// clang-format on

/* Fortran's have no arguments of main. */
static const struct shim_function function_Init = {
    .name = "Init", .role = SHIM_INIT, .kind = SHIM_INIT_KIND};
WRAP_C(Init, function_Init, 2)
WRAP_FORTRAN(init, function_Init, 1)
static const struct shim_function function_Init_thread = {
    .name = "Init_thread", .role = SHIM_INIT, .kind = SHIM_INIT_KIND};
WRAP_C(Init_thread, function_Init_thread, 4)
WRAP_FORTRAN(init_thread, function_Init_thread, 3)
