// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_NCCL_SHIM_MAKINGS_H_
#define LOCKSTEP_COLLECTIVES_NCCL_SHIM_MAKINGS_H_
/* Communicators that are being made: by calls that wait for all members, by groups of such, and by
 * calls that do not block, whose end ncclCommGetAsyncError tells. In pairs, as in recording.h. */

#include <stdint.h>

#include "collectives/nccl/shim/recording.h"

struct shim_making;

/* A communicator that all members make by this id. `made`: where its handle will be. */
struct shim_making* shim_begin_init(struct shim_call* call, const struct shim_unique_id* id,
                                    int size, int rank, shim_nccl_comm* made);
/* As an op of its parent, call->handle, that all members call. */
struct shim_making* shim_begin_split(struct shim_call* call, int color, shim_nccl_comm* made);
/* Without those of its parent that are left out, and do not call. */
struct shim_making* shim_begin_shrink(struct shim_call* call, const int* excluded, int count,
                                      shim_nccl_comm* made);
/* NULL: nothing is done. */
void shim_end_making(struct shim_making* making, int code);

/* Of all that the thread has begun in a group. */
void shim_wait_in_grouped_makings(int32_t change);
void shim_end_grouped_makings(int code);
/* The program was told how far a communicator is. */
void shim_hear_state(shim_nccl_comm handle, int state);
/* What makes this one, or is made of it, is over. */
void shim_end_makings_of(shim_nccl_comm handle, int code);

/* With the lock held, which it lets go where NCCL is asked for the size and rank of one that a
 * split has made. NULL: the communicator is unknown, or these cannot be told yet. */
struct shim_comm* shim_find_known(shim_nccl_comm handle);
/* To ask the real NCCL, as a call of `caller`. */
void shim_set_nccl_of(const void* caller);

#endif /* LOCKSTEP_COLLECTIVES_NCCL_SHIM_MAKINGS_H_ */
