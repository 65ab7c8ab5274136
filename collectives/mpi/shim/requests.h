// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_MPI_SHIM_REQUESTS_H_
#define LOCKSTEP_COLLECTIVES_MPI_SHIM_REQUESTS_H_
/* The program's requests that are not over. Several may have the same handle: what was over at once
 * gets one that MPI keeps for that. Not thread-safe: under the shim's lock. */

#include <stdbool.h>

#include "collectives/mpi/shim/communicators.h"
#include "collectives/mpi/shim/real_mpi.h"
#include "collectives/recorder/ring_writer.h"

struct shim_request {
  shim_word handle; /* 0: this place is empty */
  struct shim_comm* comm;
  struct lockstep_ring_ticket ticket;
  struct shim_start* start; /* of a persistent one, what it begins; else NULL */
  bool is_transfer;
  bool from_anybody; /* a receive whose sender is not known before its end */
};

/* A copy of `request` goes in; the communicator gains a use. */
void shim_add_request(const struct shim_request* request);
/* NULL: none that is known. Valid until the next change. */
struct shim_request* shim_find_request(shim_word handle);
/* It is over, and its communicator loses a use. */
void shim_remove_request(struct shim_request* request);

#endif /* LOCKSTEP_COLLECTIVES_MPI_SHIM_REQUESTS_H_ */
