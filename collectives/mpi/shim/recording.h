// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_MPI_SHIM_RECORDING_H_
#define LOCKSTEP_COLLECTIVES_MPI_SHIM_RECORDING_H_
/* What a wrapped function does before and after the real one. A function is described by where its
 * arguments of interest stand; a call by these arguments, as the caller passed them. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collectives/mpi/shim/communicators.h"
#include "collectives/mpi/shim/real_mpi.h"
#include "collectives/recorder/ring_writer.h"

enum shim_role {
  SHIM_INIT,
  SHIM_FINALIZE,
  SHIM_ABORT,
  SHIM_COLLECTIVE, /* with a request: one that does not wait */
  SHIM_MAKE_COMM,  /* a collective, too */
  SHIM_MAKE_COMM_OF_SOME,
  SHIM_FREE_COMM,
  SHIM_SEND,
  SHIM_RECV,
  SHIM_SEND_RECV,
  SHIM_PROBE,
  SHIM_TRY_MATCH, /* Improbe */
  SHIM_PERSISTENT_SEND,
  SHIM_PERSISTENT_RECV,
  SHIM_START, /* Start, Startall */
  SHIM_WAIT,  /* all forms of Wait */
  SHIM_TEST,
  SHIM_FREE_REQUEST,
  SHIM_FREE_TYPE
};

/* Positions count from 1; 0: there is none. */
struct shim_function {
  const char* name;
  enum shim_role role;
  uint8_t kind; /* enum shim_kind */
  uint8_t comm, made, request;
  uint8_t count, type, reduction, root;
  uint8_t counts; /* an array, by member; equal on all */
  /* A buffer that may be MPI_IN_PLACE: then count and type are elsewhere. */
  uint8_t in_place, other_count, other_type;
  bool own_counts; /* members' counts need not agree */
  uint8_t peer, status;
  uint8_t recv_count, recv_type, recv_peer;           /* of SEND_RECV, its second half */
  uint8_t requests, request_count, statuses;          /* an array of them; of one: no count */
  uint8_t flag, index, index_count, indices, message; /* what tells which of them are over */
};

enum { SHIM_MOST_ARGUMENTS = 14, SHIM_REQUESTS_AT_HAND = 32, SHIM_SEATS_AT_HAND = 8 };

/* A call that is in progress; on its thread's stack. */
struct shim_call {
  const struct shim_function* function;
  shim_word* arguments; /* [1] is the first; what MPI gets */
  bool is_fortran;
  const void* caller;
  bool is_recorded;
  struct shim_comm* comm;
  struct lockstep_ring_ticket ticket, second_ticket;
  uint32_t making;
  struct shim_start* start;
  /* Where its thread is counted as one that waits. */
  struct shim_waiting {
    int seat;
    bool transfers;
  } waits[SHIM_SEATS_AT_HAND];
  int wait_count;
  /* Of requests, before: their handles, and how these lay in memory. */
  size_t request_count;
  struct shim_saved {
    uint64_t stored;
    shim_word handle; /* Fortran's number is no one's any more once the request is over */
  } *saved, saved_at_hand[SHIM_REQUESTS_AT_HAND];
  void* own_statuses; /* allocated */
  char statuses_at_hand[SHIM_REQUESTS_AT_HAND * 24];
};

/* Whether this process records. The first call of the program decides; `is_init`: it is MPI_Init's.
 * Cheap afterwards. Never in a forked child, nor within another wrapped call of the thread. */
bool shim_records(const void* caller, bool is_init);
/* The real function, under the name that is right for this process. Ends the program, with a
 * message, where there is none: so would the dynamic linker have done without us. */
void* shim_real(const char* name, const char* profiling_name, const void* caller);

/* Calls come in pairs, on one thread. */
void shim_begin(struct shim_call* call);
void shim_end(struct shim_call* call, int code);
/* The code is in the last argument, whose place is `code_place`. */
void shim_end_fortran(struct shim_call* call, int code_place);

/* Fortran's entry points are around C's, in MPICH: its call site for the C call within. */
void shim_set_fortran_caller(const void* caller);
/* Whether Fortran's entry points are recorded by themselves. */
bool shim_records_fortran(void);

#endif /* LOCKSTEP_COLLECTIVES_MPI_SHIM_RECORDING_H_ */
