// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_NCCL_SHIM_COMMUNICATORS_H_
#define LOCKSTEP_COLLECTIVES_NCCL_SHIM_COMMUNICATORS_H_
/* What the shim knows of the program's communicators: those that it has seen made, one rank a
 * process. Of others (ncclCommInitAll's) nothing is recorded. Not thread-safe: under shim_lock,
 * unless said otherwise. */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "collectives/nccl/shim/cuda.h"
#include "collectives/nccl/shim/real_nccl.h"
#include "collectives/recorder/ring_writer.h"
#include "collectives/shim/attaching.h"

struct shim_launch;

struct shim_comm {
  shim_nccl_comm handle;
  uint64_t id;              /* equal on all members */
  int rank, size;           /* size 0: they are not known yet */
  int seat;                 /* in the ring; -1: none */
  uint64_t seq;             /* collectives that were called */
  uint32_t makings;         /* of them, those that make communicators */
  uint64_t* sent;           /* by peer; NULL before the first */
  uint64_t* received;       /* by peer */
  uint32_t uses;            /* launches that are not over, calls, and the program's handle */
  uint32_t held;            /* launches that NCCL has not put on their stream yet */
  bool is_ending;           /* the program has begun to end it */
  bool is_gone;             /* the program has no handle of it any more */
  shim_context context;     /* of its events */
  struct shim_launch* idle; /* whose events wait for the next ops */
  int idle_count;
  char name[64];
  struct shim_comm* next; /* in its bucket */
  struct shim_comm* next_there;
};

/* The process's, written by the call that decides. */
extern struct lockstep_ring shim_ring;
extern struct shim_place shim_place;
/* Of communicators, launches and makings. Held for some 10 ns, not while NCCL or CUDA is called. */
extern pthread_mutex_t shim_lock;

/* Not in the table yet, and without a seat. NULL: no memory. */
struct shim_comm* shim_new_comm(uint64_t id, int rank, int size, const char* name);
/* "NCCL 3fa91c": alike on all members. */
struct shim_comm* shim_new_root_comm(uint64_t id, int rank, int size);
uint64_t shim_id_of(const struct shim_unique_id* id);
/* Whether this process has another of that id: several ranks of one communicator, of which one can
 * be told from the others' rings. */
bool shim_is_there(uint64_t id);
/* Once its rank and size are known. */
void shim_take_seat(struct shim_comm* comm);
void shim_add_comm(struct shim_comm* comm, shim_nccl_comm handle);
/* NULL: unknown. */
struct shim_comm* shim_find_comm(shim_nccl_comm handle);
/* The program has no handle of it any more. Once more is nothing: one thread may abort what another
 * destroys. */
void shim_drop_comm(struct shim_comm* comm);
/* One of its uses ends; the last frees it. Whoever lets the lock go while it works with one counts
 * itself as a use first. */
void shim_release_comm(struct shim_comm* comm);

/* The number of an op that begins: of a collective, or of the pair and direction. */
uint64_t shim_next_seq(struct shim_comm* comm, uint8_t kind, int peer);

#endif /* LOCKSTEP_COLLECTIVES_NCCL_SHIM_COMMUNICATORS_H_ */
