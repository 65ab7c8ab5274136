// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_MPI_SHIM_COMMUNICATORS_H_
#define LOCKSTEP_COLLECTIVES_MPI_SHIM_COMMUNICATORS_H_
/* What the shim knows of the program's communicators: those that it has seen made, within the
 * world. Of others (intercommunicators, those of ways to make one that are not wrapped) nothing is
 * recorded. Not thread-safe: under the shim's lock. */

#include <stdbool.h>
#include <stdint.h>

#include "collectives/mpi/shim/real_mpi.h"
#include "collectives/recorder/ring_writer.h"
#include "collectives/shim/hashing.h"

struct shim_comm {
  shim_word handle;
  uint64_t id; /* equal on all members */
  int rank, size;
  int seat;           /* in the ring; -1: none was free */
  int32_t* members;   /* world ranks */
  uint64_t seq;       /* collectives that were called */
  uint32_t makings;   /* of them, those that make communicators */
  uint64_t* sent;     /* by peer; NULL before the first */
  uint64_t* received; /* by peer, and at [size] those from anybody that are not over */
  uint32_t uses;      /* requests in flight, and the program's handle */
  bool is_of_some;    /* not all members of its parent have made it */
  char name[64];
  struct shim_comm* next; /* in its bucket */
};

/* MPI_COMM_WORLD, before MPI_Init: it is not found by its handle yet. */
struct shim_comm* shim_make_world(const struct lockstep_ring* ring, uint32_t epoch, int rank,
                                  int size);
/* MPI_COMM_SELF and the world are there: after MPI_Init. */
void shim_open_world(const struct shim_mpi* mpi, const struct lockstep_ring* ring, uint32_t epoch,
                     struct shim_comm* world);

/* NULL: unknown. */
struct shim_comm* shim_find_comm(shim_word handle);
/* The number of the next one that is made of `parent`, which all its members count alike. */
uint32_t shim_next_making(struct shim_comm* parent);

/* A communicator within the world that exists as `handle`; `making` as counted, or of the one that
 * not all members of the parent have made UINT32_MAX. Calls MPI, so not under the lock; NULL:
 * its members are not all of the world. */
struct shim_comm* shim_describe(const struct shim_mpi* mpi, shim_word handle,
                                const struct shim_comm* parent, uint32_t making, const char* way);
/* Takes it into the table, and a seat; frees what had this handle before. */
void shim_add_comm(const struct lockstep_ring* ring, uint32_t epoch, struct shim_comm* comm);
/* The program has no handle of it any more. */
void shim_drop_comm(const struct lockstep_ring* ring, struct shim_comm* comm);
/* A request of it is over. */
void shim_release_comm(struct shim_comm* comm);

/* Sends to `peer`, or receives from it, that were called with this one; `peer` is a group rank, of
 * receives also -1: from anybody. */
uint64_t shim_next_sent(struct shim_comm* comm, int peer);
uint64_t shim_next_received(struct shim_comm* comm, int peer);
/* The receive that comes next, which a probe waits for. */
uint64_t shim_awaited(struct shim_comm* comm, int peer);

#endif /* LOCKSTEP_COLLECTIVES_MPI_SHIM_COMMUNICATORS_H_ */
