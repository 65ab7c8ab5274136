// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_NCCL_SHIM_LAUNCH_H_
#define LOCKSTEP_COLLECTIVES_NCCL_SHIM_LAUNCH_H_
/* What a launch is made of, for launches.c and event_thread.c alone. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collectives/nccl/shim/communicators.h"
#include "collectives/recorder/ring_writer.h"

enum { SHIM_LAUNCH_BYTES = 64 }; /* a line of the cache, which two threads pass to each other */

/* Its builder's alone until it is in the list, then guarded by shim_lock. */
struct shim_launch {
  struct shim_launch* next;
  struct shim_comm* comm;
  shim_stream stream; /* not to be called with later: the program may have ended it */
  shim_event before, after;
  union {
    struct lockstep_ring_ticket one;
    struct lockstep_ring_ticket* many;
  } ops;
  uint32_t op_count;
  uint32_t capacity_log2 : 8; /* 0: it is the one */
  uint32_t is_followed : 1;   /* it has events */
  uint32_t is_held : 1;       /* the event after it is to come */
  uint32_t is_reached : 1;    /* the stream waits in it */
  uint32_t is_over : 1;       /* to be taken out */
  uint32_t is_asked : 1;      /* by the shim's thread, at this moment */
  uint32_t is_marked : 1;     /* the event after it is being put there: it and its events stay */
  uint32_t is_broken : 1;     /* its events tell of an error */
  uint32_t is_abandoned : 1;  /* its communicator has gone: no event is asked for any more */
  uint32_t has_transfers : 1;
  uint32_t has_collectives : 1;
};
_Static_assert(sizeof(struct shim_launch) == SHIM_LAUNCH_BYTES, "one line");

/* All with the lock held. */
struct shim_launch** shim_first_launch(void);
void shim_reach(struct shim_launch* launch, uint64_t now_ns);
void shim_end_ops(struct shim_launch* launch, enum lockstep_record_state state);
/* Out of the list, where `place` says it, by the shim's thread alone. What it returns is to be
 * freed without the lock. */
struct shim_launch* shim_take_out(struct shim_launch** place);

/* Without the lock; NULL is nothing. */
void shim_free_launch(struct shim_launch* launch);

#endif /* LOCKSTEP_COLLECTIVES_NCCL_SHIM_LAUNCH_H_ */
