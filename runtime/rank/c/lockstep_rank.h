// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_RANK_C_LOCKSTEP_RANK_H_
#define LOCKSTEP_RUNTIME_RANK_C_LOCKSTEP_RANK_H_
/* A rank's tie to its agent, for C: runtime/rank/session.h, whose contract holds. One in a process,
 * made first thing in main. Any thread may ask and report; open and world_group on one thread. */

#include <stddef.h>
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

/* 1 in a job whose ranks outlive others (`lockstep run --on-rank-failure keep`). */
int lockstep_session_keeps_survivors(const lockstep_session* session);

/* A rank of the world that is a member of the job no more; `why` is zero-terminated, cut when too
 * long: "killed by signal 9 (SIGKILL)". */
typedef struct {
  int32_t rank;
  char why[252];
} lockstep_lost_rank;
/* Without whom the job goes on: the first `capacity` of them into `lost`, which may be null for 0.
 * Returns how many there are. Only ever grows; 0 where no survivors are kept. */
size_t lockstep_session_lost_ranks(const lockstep_session* session, lockstep_lost_rank* lost,
                                   size_t capacity);

/* Says that `step` is complete. */
void lockstep_session_report_progress(lockstep_session* session, int64_t step);
/* Says that this rank has processed `samples` more of its training data. */
void lockstep_session_report_samples(lockstep_session* session, uint64_t samples);
/* The program is in this phase from now on ("checkpoint"), as status, top and verdicts say; null or
 * "" ends it. Claims no time. */
void lockstep_session_set_phase(lockstep_session* session, const char* name);
/* Likewise; and for `at_most_ns` this rank may come late without being taken for one that hangs,
 * also where its ops go over MPI or NCCL. Ops of our own groups still have their deadlines, which
 * lockstep_long_phase_begin extends. */
void lockstep_session_set_long_phase(lockstep_session* session, const char* name,
                                     int64_t at_most_ns);
/* 1 once the agent has asked this rank to end: finish the step, save, return from main. */
int lockstep_session_stop_requested(const lockstep_session* session);

#ifdef __cplusplus
}
#endif

#endif /* LOCKSTEP_RUNTIME_RANK_C_LOCKSTEP_RANK_H_ */
