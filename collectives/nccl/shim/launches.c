// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/nccl/shim/launches.h"

#include <stdlib.h>
#include <string.h>

#include "collectives/nccl/shim/event_thread.h"
#include "collectives/nccl/shim/launch.h"
#include "collectives/nccl/shim/recording.h"

/* On their way: more than a GPU's queues hold. What comes beyond is not followed. */
enum { ON_THEIR_WAY_MAX = 8192, IDLE_MAX = 1024 };

static struct shim_launch *first, **last = &first;
static int on_their_way;
static bool has_events;

/* With the lock held; others may read it without. */
static void count_on_their_way(int change) {
  const int count = __atomic_load_n(&on_their_way, __ATOMIC_RELAXED);
  __atomic_store_n(&on_their_way, count + change, __ATOMIC_RELAXED);
}

void shim_use_events(void) { has_events = true; }

/* ------------------------------------------------------------------------------------ its parts */

bool shim_is_launch_of(const struct shim_launch* launch, const struct shim_comm* comm,
                       shim_stream stream) {
  return launch->comm == comm && launch->stream == stream;
}

struct shim_launch** shim_next_launch(struct shim_launch* launch) { return &launch->next; }

/* Without the lock. */
void shim_free_launch(struct shim_launch* launch) {
  if (launch == NULL) return;
  shim_free_event(launch->before);
  shim_free_event(launch->after);
  if (launch->capacity_log2 > 0) free(launch->ops.many);
  free(launch);
}

struct shim_launch* shim_take_idle(struct shim_comm* comm) {
  struct shim_launch* const launch = comm->idle;
  ++comm->uses;
  if (launch == NULL) return NULL;
  comm->idle = launch->next;
  --comm->idle_count;
  if (comm->idle != NULL) __builtin_prefetch(comm->idle, 1);
  return launch;
}

static struct shim_launch* new_launch(struct shim_comm* comm) {
  struct shim_launch* const launch = aligned_alloc(SHIM_LAUNCH_BYTES, sizeof *launch);
  if (launch == NULL) return NULL;
  memset(launch, 0, sizeof *launch);
  launch->comm = comm;
  return launch;
}

static bool mark_stream(struct shim_launch* launch, shim_event* event) {
  if (*event == NULL) *event = shim_new_event(launch->comm->context);
  return *event != NULL && shim_record_event(*event, launch->stream);
}

struct shim_launch* shim_build_launch(struct shim_comm* comm, struct shim_launch* idle,
                                      shim_stream stream) {
  struct shim_launch* const launch = idle != NULL ? idle : new_launch(comm);
  if (launch == NULL) {
    pthread_mutex_lock(&shim_lock);
    shim_release_comm(comm);
    pthread_mutex_unlock(&shim_lock);
    return NULL;
  }
  launch->stream = stream;
  if (!has_events || __atomic_load_n(&on_their_way, __ATOMIC_RELAXED) >= ON_THEIR_WAY_MAX)
    return launch;
  const shim_context context = shim_context_of(stream);
  if (context == NULL || !shim_ask_in_background()) return launch;
  if (comm->context == NULL) comm->context = context;
  launch->is_followed = context == comm->context && mark_stream(launch, &launch->before);
  return launch;
}

static struct lockstep_ring_ticket* ops_of(struct shim_launch* launch) {
  return launch->capacity_log2 > 0 ? launch->ops.many : &launch->ops.one;
}

/* Fourfold; false: no memory. */
static bool grow(struct shim_launch* launch) {
  struct lockstep_ring_ticket* const more =
      malloc(((size_t)4 << launch->capacity_log2) * sizeof *more);
  if (more == NULL) return false;
  memcpy(more, ops_of(launch), launch->op_count * sizeof *more);
  if (launch->capacity_log2 > 0) free(launch->ops.many);
  launch->ops.many = more;
  launch->capacity_log2 += 2;
  return true;
}

void shim_add_op(struct shim_launch* launch, struct lockstep_ring_ticket ticket, bool is_transfer) {
  if (launch->op_count >> launch->capacity_log2 > 0 && !grow(launch)) {
    shim_end_record(ticket, SHIM_NCCL_OK); /* not followed */
    return;
  }
  ops_of(launch)[launch->op_count++] = ticket;
  if (is_transfer) {
    launch->has_transfers = true;
  } else {
    launch->has_collectives = true;
  }
}

void shim_wait_in_launch(const struct shim_launch* launch, int32_t change) {
  const int seat = launch->comm->seat;
  if (launch->has_collectives) lockstep_ring_add_waiters(&shim_ring, seat, false, change);
  if (launch->has_transfers) lockstep_ring_add_waiters(&shim_ring, seat, true, change);
}

/* ----------------------------------------------------------------------------- how far they are */

void shim_reach(struct shim_launch* launch, uint64_t now_ns) {
  launch->is_reached = true;
  const struct lockstep_ring_ticket* const ops = ops_of(launch);
  for (size_t i = 0; i < launch->op_count; ++i) lockstep_ring_started(&shim_ring, ops[i], now_ns);
  lockstep_ring_add_stream_waiters(&shim_ring, launch->comm->seat, 1);
}

void shim_end_ops(struct shim_launch* launch, enum lockstep_record_state state) {
  const uint64_t now = shim_now_ns();
  const struct lockstep_ring_ticket* const ops = ops_of(launch);
  for (size_t i = 0; i < launch->op_count; ++i)
    lockstep_ring_ended(&shim_ring, ops[i], state, 0, now);
  launch->op_count = 0;
  if (launch->is_reached) lockstep_ring_add_stream_waiters(&shim_ring, launch->comm->seat, -1);
  launch->is_reached = false;
}

/* With the lock held; what it returns is to be freed without. */
static struct shim_launch* retire(struct shim_launch* launch) {
  struct shim_comm* const comm = launch->comm;
  struct shim_launch* left = launch;
  if (launch->is_held) --comm->held;
  if (!comm->is_gone && !launch->is_abandoned && !launch->is_broken &&
      comm->idle_count < IDLE_MAX) {
    launch->is_followed = launch->is_held = launch->is_over = false;
    launch->has_transfers = launch->has_collectives = false;
    launch->next = comm->idle;
    comm->idle = launch;
    ++comm->idle_count;
    left = NULL;
  }
  shim_release_comm(comm);
  return left;
}

struct shim_launch** shim_first_launch(void) { return &first; }

struct shim_launch* shim_take_out(struct shim_launch** place) {
  struct shim_launch* const launch = *place;
  *place = launch->next;
  count_on_their_way(-1);
  if (last == &launch->next) last = place;
  return retire(launch);
}

/* ------------------------------------------------------------------------------ their ways */

/* Of one that never was in the list. */
static void give_up(struct shim_launch* launch, enum lockstep_record_state state) {
  shim_end_ops(launch, state);
  pthread_mutex_lock(&shim_lock);
  struct shim_launch* const left = retire(launch);
  pthread_mutex_unlock(&shim_lock);
  shim_free_launch(left);
}

/* False: its communicator has gone during the call. */
static bool join_the_list(struct shim_launch* launch) {
  pthread_mutex_lock(&shim_lock);
  const bool joins = !launch->comm->is_gone;
  if (joins) {
    if (launch->is_held) ++launch->comm->held;
    count_on_their_way(1);
    launch->next = NULL;
    *last = launch;
    last = &launch->next;
  } else {
    launch->is_held = false; /* it is not counted */
  }
  pthread_mutex_unlock(&shim_lock);
  return joins;
}

void shim_send_off(struct shim_launch* launch, int code) {
  if (code != SHIM_NCCL_OK && code != SHIM_NCCL_IN_PROGRESS) {
    give_up(launch, LOCKSTEP_RECORD_ERROR);
    return;
  }
  launch->is_held = launch->is_followed && code == SHIM_NCCL_IN_PROGRESS;
  if (!launch->is_held)
    launch->is_followed = launch->is_followed && mark_stream(launch, &launch->after);
  if (!launch->is_followed) {
    give_up(launch, LOCKSTEP_RECORD_COMPLETED);
    return;
  }
  if (!join_the_list(launch)) give_up(launch, LOCKSTEP_RECORD_ABORTED);
}

/* With the lock held: one that no other thread has ended or is at. */
static struct shim_launch* find_held(const struct shim_comm* comm) {
  struct shim_launch* launch = first;
  while (launch != NULL &&
         (launch->comm != comm || !launch->is_held || launch->is_over || launch->is_marked))
    launch = launch->next;
  return launch;
}

/* With the lock held, which it lets go meanwhile: an abort may come between, or a broken stream. */
static void end_holding(struct shim_launch* launch, int code) {
  launch->is_marked = true;
  pthread_mutex_unlock(&shim_lock);
  const bool is_on_stream = code == SHIM_NCCL_OK && mark_stream(launch, &launch->after);
  pthread_mutex_lock(&shim_lock);
  launch->is_marked = launch->is_held = false;
  --launch->comm->held;
  if (is_on_stream || launch->is_over) return;
  shim_end_ops(launch, code == SHIM_NCCL_OK ? LOCKSTEP_RECORD_COMPLETED : LOCKSTEP_RECORD_ERROR);
  launch->is_over = true;
}

void shim_end_holding(shim_nccl_comm handle, int code) {
  pthread_mutex_lock(&shim_lock);
  struct shim_comm* const comm = shim_find_comm(handle);
  if (comm != NULL && comm->held > 0) {
    ++comm->uses;
    for (struct shim_launch* launch; (launch = find_held(comm)) != NULL;) end_holding(launch, code);
    shim_release_comm(comm);
  }
  pthread_mutex_unlock(&shim_lock);
}

/* With the lock held: events to be freed without, of one launch; false: there are no more. */
static bool take_events(struct shim_comm* comm, enum lockstep_record_state state,
                        shim_event events[2]) {
  struct shim_launch* launch = first;
  while (launch != NULL && (launch->comm != comm || launch->is_abandoned)) launch = launch->next;
  if (launch == NULL) return false;
  shim_end_ops(launch, state);
  launch->is_over = launch->is_abandoned = true;
  events[0] = events[1] = NULL;
  if (launch->is_asked || launch->is_marked) return true; /* the shim's thread frees them */
  events[0] = launch->before;
  events[1] = launch->after;
  launch->before = launch->after = NULL;
  return true;
}

/* Events go with their communicator: the program may end its device next. */
void shim_end_launches(struct shim_comm* comm, enum lockstep_record_state state) {
  shim_event events[2];
  pthread_mutex_lock(&shim_lock);
  while (take_events(comm, state, events)) {
    pthread_mutex_unlock(&shim_lock);
    shim_free_event(events[0]);
    shim_free_event(events[1]);
    pthread_mutex_lock(&shim_lock);
  }
  while (comm->idle != NULL) {
    struct shim_launch* const launch = comm->idle;
    comm->idle = launch->next;
    --comm->idle_count;
    pthread_mutex_unlock(&shim_lock);
    shim_free_launch(launch);
    pthread_mutex_lock(&shim_lock);
  }
  pthread_mutex_unlock(&shim_lock);
}
