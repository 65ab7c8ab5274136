// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_NCCL_SHIM_LAUNCHES_H_
#define LOCKSTEP_COLLECTIVES_NCCL_SHIM_LAUNCHES_H_
/* What NCCL was asked to put on streams, and how far these are. A launch is the ops of one
 * communicator on one stream by one call, or between ncclGroupStart and ncclGroupEnd:
 *
 *   built --> on its way ------> reached -------> over
 *               |  the event before it has passed; the event after it has passed
 *               +-- held: NCCL puts it on the stream later (communicators that do not block)
 *
 * A thread of the shim's asks for events every 10 ms while there are launches, and tells the ring:
 * it calls CUDA's driver, never NCCL. Launches without events (no driver, a stream that records a
 * graph) are over when NCCL's call returns. */

#include <stdbool.h>

#include "collectives/nccl/shim/communicators.h"
#include "collectives/recorder/ring_writer.h"

struct shim_launch;

/* With the lock held, before the next: one that was used before, or NULL. */
struct shim_launch* shim_take_idle(struct shim_comm* comm);
/* Before the ops are put on the stream, by the thread that does. NULL: no memory. */
struct shim_launch* shim_build_launch(struct shim_comm* comm, struct shim_launch* idle,
                                      shim_stream stream);
/* Whether `launch` is of that communicator and stream. */
bool shim_is_launch_of(const struct shim_launch* launch, const struct shim_comm* comm,
                       shim_stream stream);
void shim_add_op(struct shim_launch* launch, struct lockstep_ring_ticket ticket, bool is_transfer);
/* Its thread is in the call that puts it there, or is out of it. */
void shim_wait_in_launch(const struct shim_launch* launch, int32_t change);
/* NCCL has taken it, with `code`: it goes its way, or ends here with an error. */
void shim_send_off(struct shim_launch* launch, int code);
/* NCCL has put what it held on its streams, or has failed to. Another thread may abort the
 * communicator meanwhile. */
void shim_end_holding(shim_nccl_comm handle, int code);
/* The communicator goes, and its ops end, in whatever way. */
void shim_end_launches(struct shim_comm* comm, enum lockstep_record_state state);
/* Lists of a thread's that are being built. */
struct shim_launch** shim_next_launch(struct shim_launch* launch);

/* Once: there is a driver. */
void shim_use_events(void);

#endif /* LOCKSTEP_COLLECTIVES_NCCL_SHIM_LAUNCHES_H_ */
