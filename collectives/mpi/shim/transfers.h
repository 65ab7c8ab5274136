// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_MPI_SHIM_TRANSFERS_H_
#define LOCKSTEP_COLLECTIVES_MPI_SHIM_TRANSFERS_H_
/* What is done before and after calls that send, receive, or are about requests; in pairs, by their
 * roles (recording.h). */

#include <stdint.h>

#include "collectives/mpi/shim/records.h"

/* The number of a transfer that begins: of its pair and direction. Under shim_lock. */
uint64_t shim_next_of(struct shim_comm* comm, const struct shim_start* start);
void shim_begin_send_or_recv(struct shim_call* call);
void shim_end_send_or_recv(struct shim_call* call, int code);
void shim_end_persistent(struct shim_call* call, int code);
void shim_begin_send_recv(struct shim_call* call);
void shim_end_send_recv(struct shim_call* call, int code);
void shim_begin_match(struct shim_call* call);
void shim_end_match(struct shim_call* call, int code);

/* completions.c: of requests, whatever made them. */
void shim_begin_completion(struct shim_call* call);
void shim_end_completion(struct shim_call* call, int code);
void shim_begin_start(struct shim_call* call);
void shim_begin_letting_go(struct shim_call* call);

#endif /* LOCKSTEP_COLLECTIVES_MPI_SHIM_TRANSFERS_H_ */
