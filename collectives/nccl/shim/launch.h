// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_NCCL_SHIM_LAUNCH_H_
#define LOCKSTEP_COLLECTIVES_NCCL_SHIM_LAUNCH_H_
/* What a launch is made of, for launches.c and event_thread.c alone. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collectives/nccl/shim/communicators.h"
#include "collectives/recorder/ring_writer.h"

enum { SHIM_FEW_OPS = 4 };

/* Its builder's alone until it is in the list, then guarded by shim_lock. */
struct shim_launch {
  struct shim_launch* next;
  struct shim_comm* comm;
  shim_stream stream; /* not to be called with later: the program may have ended it */
  shim_event before, after;
  bool is_followed;  /* it has events */
  bool is_held;      /* the event after it is to come */
  bool is_reached;   /* the stream waits in it */
  bool is_over;      /* to be taken out */
  bool is_asked;     /* by the shim's thread, at this moment */
  bool is_abandoned; /* its communicator has gone: no event is asked for any more */
  bool has_transfers, has_collectives;
  struct lockstep_ring_ticket* ops;
  size_t op_count, capacity;
  struct lockstep_ring_ticket few[SHIM_FEW_OPS];
};

/* All with the lock held. */
struct shim_launch** shim_first_launch(void);
void shim_reach(struct shim_launch* launch, uint64_t now_ns);
void shim_end_ops(struct shim_launch* launch, enum lockstep_record_state state);
/* Out of the list, where `place` says it, by the shim's thread alone. What it leaves is to be freed
 * without the lock. */
struct shim_events {
  shim_event before, after;
};
struct shim_events shim_take_out(struct shim_launch** place);

/* Without the lock. */
void shim_free_events(struct shim_events events);

#endif /* LOCKSTEP_COLLECTIVES_NCCL_SHIM_LAUNCH_H_ */
