// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_SHIM_ATTACHING_H_
#define LOCKSTEP_COLLECTIVES_SHIM_ATTACHING_H_
/* How a preloaded object comes to its rank's recorder ring. Any thread, once a process. */

#include <stdbool.h>
#include <stdint.h>

#include "collectives/recorder/ring_writer.h"

/* The rank as the agent has it. */
struct shim_place {
  uint32_t epoch;
  int rank, size;
};

/* Whether this process's environment names an agent, and the object can look into others. */
bool shim_has_agent(void);
/* Attaches as that environment says, and opens the ring. False: this process is not the rank but
 * one that it has started, or it failed, which a line on stderr says. Up to 10 s. */
bool shim_attach(const char* library, struct lockstep_ring* ring, struct shim_place* place);
/* On stderr, that the calls of `library` ("MPI") are not recorded, and why: `what`, then `of`. */
void shim_say_unrecorded(const char* library, const char* what, const char* of);

/* Of the clock that records tell. */
uint64_t shim_now_ns(void);

#endif /* LOCKSTEP_COLLECTIVES_SHIM_ATTACHING_H_ */
