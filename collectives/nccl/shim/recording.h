// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_NCCL_SHIM_RECORDING_H_
#define LOCKSTEP_COLLECTIVES_NCCL_SHIM_RECORDING_H_
/* What a wrapped function does before and after the real one. Calls come in pairs, on one thread;
 * between ncclGroupStart and ncclGroupEnd that means the latter. */

#include <stdbool.h>
#include <stdint.h>

#include "collectives/nccl/shim/launches.h"
#include "collectives/nccl/shim/real_nccl.h"
#include "collectives/recorder/ring_writer.h"

/* Whether this process records. The first call of the program decides; cheap afterwards. Never in a
 * forked child, nor within another wrapped call of the thread. */
bool shim_records(const void* caller);

/* An op, a call that makes a communicator or one that ends one; on its thread's stack. */
struct shim_call {
  const char* name; /* "AllReduce" */
  const void* caller;
  shim_nccl_comm handle;
  uint8_t kind; /* enum shim_kind */
  uint8_t dtype, reduction;
  int peer; /* or root; -1 = none */
  uint64_t count;
  shim_stream stream;
  /* From begin to end: */
  struct shim_comm* comm;
  struct lockstep_ring_ticket ticket;
  struct shim_launch* launch;
};

void shim_begin_op(struct shim_call* call);
void shim_end_op(struct shim_call* call, int code);

/* A record that begins; 0 is the number of what makes its communicator. */
struct lockstep_ring_ticket shim_record(const struct shim_call* call, const struct shim_comm* comm,
                                        uint64_t seq);
void shim_end_record(struct lockstep_ring_ticket ticket, int code);
/* Counts this thread as inside of a wrapped call, or not. */
void shim_set_inside(bool inside);

/* Where the thread stands between ncclGroupStart and ncclGroupEnd. */
int shim_group_depth(void);
void shim_end_group_start(int code);
/* Before and after the real one; `launches`: false where it only pretends. */
void shim_begin_group_end(void);
void shim_end_group_end(int code, bool launches);

void shim_begin_ending(struct shim_call* call);
/* `state`: of ops that are not over. */
void shim_end_ending(struct shim_call* call, int code, bool is_gone,
                     enum lockstep_record_state state);

#endif /* LOCKSTEP_COLLECTIVES_NCCL_SHIM_RECORDING_H_ */
