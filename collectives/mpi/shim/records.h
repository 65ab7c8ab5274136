// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_MPI_SHIM_RECORDS_H_
#define LOCKSTEP_COLLECTIVES_MPI_SHIM_RECORDS_H_
/* What the recording of all kinds of calls stands on: this process, the arguments of a call, and
 * the records of ops. */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "collectives/mpi/shim/communicators.h"
#include "collectives/mpi/shim/real_mpi.h"
#include "collectives/mpi/shim/recording.h"
#include "collectives/recorder/ring_writer.h"
#include "collectives/shim/attaching.h"

/* Written once, by the call that decides, but for what the lock guards. */
struct shim_process {
  int state; /* recording.c's */
  struct shim_mpi mpi;
  struct lockstep_ring ring;
  struct shim_place place;
  struct shim_comm* world;
};
extern struct shim_process shim_process;
/* Of communicators, requests and their numbers. Held for some 10 ns, never while MPI is called. */
extern pthread_mutex_t shim_lock;

static inline void* shim_pointer_at(const struct shim_call* call, int place) {
  return (void*)call->arguments[place];  // NOLINT(performance-no-int-to-ptr): it was a pointer
}

static inline int shim_int_at(const struct shim_call* call, int place) {
  return call->is_fortran ? *(const int*)shim_pointer_at(call, place) : (int)call->arguments[place];
}

static inline shim_word shim_handle_at(const struct shim_call* call, int place,
                                       shim_word (*f2c)(int)) {
  if (call->is_fortran) return f2c(shim_int_at(call, place));
  return call->arguments[place] & shim_process.mpi.handle_mask;
}

static inline shim_word shim_comm_at(const struct shim_call* call, int place) {
  return shim_handle_at(call, place, shim_process.mpi.comm_f2c);
}

/* A handle that the program keeps in memory. */
static inline shim_word shim_stored_at(const struct shim_call* call, int place,
                                       shim_word (*f2c)(int)) {
  const void* const memory = shim_pointer_at(call, place);
  return call->is_fortran ? f2c(*(const int*)memory)
                          : shim_load_handle(&shim_process.mpi, memory, 0);
}

/* As it lies there, to be compared. */
static inline uint64_t shim_raw_at(const struct shim_call* call, int place, size_t index) {
  const void* const memory = shim_pointer_at(call, place);
  return call->is_fortran ? ((const uint32_t*)memory)[index]
                          : shim_load_handle(&shim_process.mpi, memory, index);
}

/* An op that begins, with all that its record wants to know. */
struct shim_start {
  uint8_t kind, dtype;
  int reduction; /* enum shim_reduction */
  int peer;      /* or root; -1 = none */
  uint64_t count;
  bool own_count; /* other members' may differ */
  const struct shim_function* function;
};

/* A record that has begun and started. */
struct lockstep_ring_ticket shim_record(const struct shim_start* start,
                                        const struct shim_comm* comm, uint64_t seq,
                                        const void* caller);
void shim_end_record(struct lockstep_ring_ticket ticket, int code);
/* The thread is in a call that ends when an op of `comm` does, until shim_end_waits. */
void shim_wait_in(struct shim_call* call, const struct shim_comm* comm, bool transfers);
void shim_end_waits(struct shim_call* call);
/* Takes `start`, of a persistent request. */
void shim_keep_request(struct shim_call* call, struct lockstep_ring_ticket ticket,
                       struct shim_start* start, bool is_transfer, bool from_anybody);
/* Of a request of which nothing was kept, since memory or MPI failed: it ends here, as seen. */
void shim_end_or_keep(struct shim_call* call, int code, bool is_transfer, bool from_anybody);

#endif /* LOCKSTEP_COLLECTIVES_MPI_SHIM_RECORDS_H_ */
