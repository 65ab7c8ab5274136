// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/nccl/shim/recording.h"

#include <pthread.h>
#include <stddef.h>

#include "collectives/nccl/shim/makings.h"
#include "collectives/shim/call_site.h"
#include "collectives/shim/hashing.h"
#include "collectives/shim/recorded_values.h"
#include "runtime/attach/fork_guard.h"

enum state { UNDECIDED, OFF, ON };

static int state; /* enum state */
static pthread_mutex_t deciding = PTHREAD_MUTEX_INITIALIZER;

static _Thread_local struct {
  bool is_inside; /* a wrapped call: what NCCL calls within is its own business */
  int depth;      /* of groups */
  struct shim_launch* grouped;
} thread;

/* ----------------------------------------------------------------- whether this process records */

static enum state decide(const void* caller) {
  if (!shim_has_agent()) return OFF;
  const void* const nccl = shim_find("ncclAllReduce", caller);
  if (nccl == NULL || !shim_attach("NCCL", &shim_ring, &shim_place)) return OFF;
  shim_set_nccl_of(caller);
  if (shim_find_cuda(nccl)) shim_use_events();
  return ON;
}

bool shim_records(const void* caller) {
  int known = __atomic_load_n(&state, __ATOMIC_ACQUIRE);
  if (known == UNDECIDED) {
    pthread_mutex_lock(&deciding);
    known = __atomic_load_n(&state, __ATOMIC_RELAXED);
    if (known == UNDECIDED) {
      known = (int)decide(caller);
      __atomic_store_n(&state, known, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&deciding);
  }
  return known == ON && !thread.is_inside && lockstep_fork_guard_is_owner(&shim_ring.guard);
}

void shim_set_inside(bool inside) { thread.is_inside = inside; }
int shim_group_depth(void) { return thread.depth; }

/* -------------------------------------------------------------------------------------- records */

static uint64_t fingerprint_of(const struct shim_call* call) {
  uint64_t hash = call->kind;
  if (call->kind == SHIM_NO_KIND) hash = shim_mix_text(hash, call->name);
  hash = shim_mix(
      hash, call->dtype | (uint64_t)call->reduction << 8 | (uint64_t)(uint32_t)call->peer << 32);
  return shim_mix(hash, call->count);
}

struct lockstep_ring_ticket shim_record(const struct shim_call* call, const struct shim_comm* comm,
                                        uint64_t seq) {
  const struct lockstep_ring_call record = {
      .group_id = comm->id,
      .seq = seq,
      .fingerprint = fingerprint_of(call),
      .epoch = shim_place.epoch,
      .op = call->kind,
      .dtype = call->dtype,
      .reduction = call->reduction,
      .root_or_peer = call->peer,
      .group_size = (uint32_t)comm->size,
      .count_in = call->count,
      .count_out = call->count,
      .enqueued_ns = shim_now_ns(),
      .call_file = shim_call_site(call->caller),
      .tag = call->name,
  };
  return lockstep_ring_begin(&shim_ring, &record);
}

void shim_end_record(struct lockstep_ring_ticket ticket, int code) {
  if (!ticket.valid) return;
  const bool well = code == SHIM_NCCL_OK || code == SHIM_NCCL_IN_PROGRESS;
  lockstep_ring_ended(&shim_ring, ticket, well ? LOCKSTEP_RECORD_COMPLETED : LOCKSTEP_RECORD_ERROR,
                      0, shim_now_ns());
}

/* ------------------------------------------------------------------------------------------ ops */

static struct shim_launch* find_grouped(const struct shim_comm* comm, shim_stream stream) {
  struct shim_launch* launch = thread.grouped;
  while (launch != NULL && !shim_is_launch_of(launch, comm, stream))
    launch = *shim_next_launch(launch);
  return launch;
}

/* Where the op goes: a launch of its own or, in a group, that of its communicator and stream. */
static struct shim_launch* find_launch(const struct shim_call* call, struct shim_launch* grouped,
                                       struct shim_launch* idle) {
  if (grouped != NULL) return grouped;
  struct shim_launch* const launch = shim_build_launch(call->comm, idle, call->stream);
  if (launch == NULL || thread.depth == 0) return launch;
  *shim_next_launch(launch) = thread.grouped;
  thread.grouped = launch;
  return launch;
}

void shim_begin_op(struct shim_call* call) {
  shim_set_inside(true);
  call->launch = NULL;
  pthread_mutex_lock(&shim_lock);
  call->comm = shim_find_known(call->handle);
  if (call->comm == NULL) {
    pthread_mutex_unlock(&shim_lock);
    return;
  }
  const uint64_t seq = shim_next_seq(call->comm, call->kind, call->peer);
  struct shim_launch* const grouped = find_grouped(call->comm, call->stream);
  struct shim_launch* const idle = grouped == NULL ? shim_take_idle(call->comm) : NULL;
  pthread_mutex_unlock(&shim_lock);
  const bool is_transfer = call->kind == SHIM_SEND_KIND || call->kind == SHIM_RECV_KIND;
  call->ticket = shim_record(call, call->comm, seq);
  call->launch = find_launch(call, grouped, idle);
  if (call->launch == NULL) {
    shim_end_record(call->ticket, SHIM_NCCL_OK);
    return;
  }
  shim_add_op(call->launch, call->ticket, is_transfer);
  if (thread.depth == 0) shim_wait_in_launch(call->launch, 1);
}

void shim_end_op(struct shim_call* call, int code) {
  shim_set_inside(false);
  if (call->launch == NULL || thread.depth > 0) return;
  shim_wait_in_launch(call->launch, -1);
  shim_send_off(call->launch, code);
}

/* --------------------------------------------------------------------------------------- groups */

void shim_end_group_start(int code) {
  shim_set_inside(false);
  if (code == SHIM_NCCL_OK) ++thread.depth;
}

static void wait_in_group(int32_t change) {
  for (struct shim_launch* launch = thread.grouped; launch != NULL;
       launch = *shim_next_launch(launch))
    shim_wait_in_launch(launch, change);
  shim_wait_in_grouped_makings(change);
}

void shim_begin_group_end(void) {
  shim_set_inside(true);
  if (thread.depth == 1) wait_in_group(1);
}

void shim_end_group_end(int code, bool launches) {
  shim_set_inside(false);
  if (thread.depth == 0 || --thread.depth > 0) return;
  wait_in_group(-1);
  while (thread.grouped != NULL) {
    struct shim_launch* const launch = thread.grouped;
    thread.grouped = *shim_next_launch(launch);
    shim_send_off(launch, launches ? code : SHIM_NCCL_INVALID_USAGE);
  }
  shim_end_grouped_makings(code);
}

/* --------------------------------------------------------------------------------------- ending */

/* As an op of the group's, so that others' calls after this rank's last are seen to differ. */
void shim_begin_ending(struct shim_call* call) {
  shim_set_inside(true);
  shim_end_makings_of(call->handle, SHIM_NCCL_INVALID_USAGE);
  pthread_mutex_lock(&shim_lock);
  call->comm = shim_find_comm(call->handle);
  const bool is_first = call->comm != NULL && call->name != NULL && !call->comm->is_ending;
  const uint64_t seq = is_first ? ++call->comm->seq : 0;
  if (is_first) call->comm->is_ending = true;
  if (call->comm != NULL) ++call->comm->uses; /* where this hangs, another thread may abort */
  pthread_mutex_unlock(&shim_lock);
  call->ticket.valid = false;
  if (call->comm == NULL) return;
  if (is_first) call->ticket = shim_record(call, call->comm, seq);
  /* An abort lets streams pass ops that are not done: that must not be taken for their end. */
  if (call->name == NULL) shim_end_launches(call->comm, LOCKSTEP_RECORD_ABORTED);
}

/* Nobody is counted as waiting: a rank that has ended without it is not to be blamed for the time
 * that another's takes. */
void shim_end_ending(struct shim_call* call, int code, bool is_gone,
                     enum lockstep_record_state end) {
  shim_set_inside(false);
  struct shim_comm* const comm = call->comm;
  if (comm == NULL) return;
  shim_end_record(call->ticket, code);
  if (is_gone) shim_end_launches(comm, end);
  pthread_mutex_lock(&shim_lock);
  if (is_gone) shim_drop_comm(comm);
  shim_release_comm(comm);
  pthread_mutex_unlock(&shim_lock);
}
