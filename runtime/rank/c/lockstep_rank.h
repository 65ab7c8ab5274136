// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_RANK_C_LOCKSTEP_RANK_H_
#define LOCKSTEP_RUNTIME_RANK_C_LOCKSTEP_RANK_H_
/* A rank's tie to its agent, for C: runtime/rank/session.h, whose contract holds. One in a process,
 * made first thing in main. Any thread may ask and report; open and world_group on one thread. */

#include <stdint.h>

#include "collectives/c/lockstep_collectives.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lockstep_session lockstep_session;

/* Blocks: at most 10 s. Returns the status's code; sets `*session`, to null when it failed. */
int32_t lockstep_session_open(lockstep_session** session, lockstep_status* status);
/* After its groups are freed. Null: nothing. */
void lockstep_session_close(lockstep_session* session);

int32_t lockstep_session_rank(const lockstep_session* session);
int32_t lockstep_session_world_size(const lockstep_session* session);
int32_t lockstep_session_local_rank(const lockstep_session* session);

/* The group of all ranks. Collective. Blocks: at most `timeout_ns`; 0 = 120 s. Returns the status's
 * code; the group is the caller's to free. */
int32_t lockstep_session_world_group(lockstep_session* session, int64_t timeout_ns,
                                     lockstep_group** group, lockstep_status* status);

/* Says that `step` is complete. */
void lockstep_session_report_progress(lockstep_session* session, int64_t step);
/* 1 once the agent has asked this rank to end: finish the step, save, return from main. */
int lockstep_session_stop_requested(const lockstep_session* session);

#ifdef __cplusplus
}
#endif

#endif /* LOCKSTEP_RUNTIME_RANK_C_LOCKSTEP_RANK_H_ */
