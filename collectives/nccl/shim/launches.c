// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/nccl/shim/launches.h"

#include <stdlib.h>
#include <string.h>

#include "collectives/nccl/shim/event_thread.h"
#include "collectives/nccl/shim/launch.h"

static struct shim_launch *first, **last = &first;
static bool has_events;

void shim_use_events(void) { has_events = true; }

/* ------------------------------------------------------------------------------------- its parts */

bool shim_is_launch_of(const struct shim_launch* launch, const struct shim_comm* comm,
                       shim_stream stream) {
  return launch->comm == comm && launch->stream == stream;
}

struct shim_launch** shim_next_launch(struct shim_launch* launch) { return &launch->next; }

static void free_launch(struct shim_launch* launch) {
  if (launch->ops != launch->few) free(launch->ops);
  free(launch);
}

static shim_event take_event(struct shim_comm* comm) {
  shim_event event = NULL;
  pthread_mutex_lock(&shim_lock);
  if (comm->spare_count > 0) event = comm->spares[--comm->spare_count];
  pthread_mutex_unlock(&shim_lock);
  return event != NULL ? event : shim_new_event(comm->context);
}

/* With the lock held. An event that finds no place is to be freed without the lock. */
static shim_event keep_event(struct shim_comm* comm, shim_event event) {
  if (event == NULL || comm->spare_count == SHIM_SPARE_EVENTS) return event;
  comm->spares[comm->spare_count++] = event;
  return NULL;
}

static bool mark_stream(struct shim_launch* launch, shim_event* event) {
  *event = take_event(launch->comm);
  if (*event != NULL && shim_record_event(*event, launch->stream)) return true;
  shim_free_event(*event);
  *event = NULL;
  return false;
}

struct shim_launch* shim_build_launch(struct shim_comm* comm, shim_stream stream) {
  struct shim_launch* const launch = malloc(sizeof *launch);
  if (launch == NULL) return NULL;
  memset(launch, 0, offsetof(struct shim_launch, few));
  launch->comm = comm;
  launch->stream = stream;
  launch->ops = launch->few;
  launch->capacity = SHIM_FEW_OPS;
  if (!has_events) return launch;
  const shim_context context = shim_context_of(stream);
  if (context == NULL || !shim_ask_in_background()) return launch;
  if (comm->context == NULL) comm->context = context;
  launch->is_followed = context == comm->context && mark_stream(launch, &launch->before);
  return launch;
}

void shim_add_op(struct shim_launch* launch, struct lockstep_ring_ticket ticket, bool is_transfer) {
  if (launch->op_count == launch->capacity) {
    const size_t capacity = launch->capacity * 4;
    struct lockstep_ring_ticket* const more = malloc(capacity * sizeof *more);
    if (more == NULL) return;
    memcpy(more, launch->ops, launch->op_count * sizeof *more);
    if (launch->ops != launch->few) free(launch->ops);
    launch->ops = more;
    launch->capacity = capacity;
  }
  launch->ops[launch->op_count++] = ticket;
  launch->has_transfers |= is_transfer;
  launch->has_collectives |= !is_transfer;
}

void shim_wait_in_launch(const struct shim_launch* launch, int32_t change) {
  const int seat = launch->comm->seat;
  if (launch->has_collectives) lockstep_ring_add_waiters(&shim_ring, seat, false, change);
  if (launch->has_transfers) lockstep_ring_add_waiters(&shim_ring, seat, true, change);
}

/* ------------------------------------------------------------------------------ how far they are */

void shim_reach(struct shim_launch* launch, uint64_t now_ns) {
  launch->is_reached = true;
  for (size_t i = 0; i < launch->op_count; ++i)
    lockstep_ring_started(&shim_ring, launch->ops[i], now_ns);
  lockstep_ring_add_stream_waiters(&shim_ring, launch->comm->seat, 1);
}

void shim_end_ops(struct shim_launch* launch, enum lockstep_record_state state) {
  const uint64_t now = shim_now_ns();
  for (size_t i = 0; i < launch->op_count; ++i)
    lockstep_ring_ended(&shim_ring, launch->ops[i], state, 0, now);
  launch->op_count = 0;
  if (launch->is_reached) lockstep_ring_add_stream_waiters(&shim_ring, launch->comm->seat, -1);
  launch->is_reached = false;
}

/* With the lock held; what it returns is to be freed without. */
static struct shim_events retire(struct shim_launch* launch) {
  struct shim_events left = {launch->before, launch->after};
  if (!launch->is_abandoned) {
    left.before = keep_event(launch->comm, left.before);
    left.after = keep_event(launch->comm, left.after);
  }
  if (launch->is_held) --launch->comm->held;
  shim_release_comm(launch->comm);
  free_launch(launch);
  return left;
}

void shim_free_events(struct shim_events events) {
  shim_free_event(events.before);
  shim_free_event(events.after);
}

struct shim_launch** shim_first_launch(void) { return &first; }

struct shim_events shim_take_out(struct shim_launch** place) {
  struct shim_launch* const launch = *place;
  *place = launch->next;
  if (last == &launch->next) last = place;
  return retire(launch);
}

/* ------------------------------------------------------------------------------------ their ways */

/* Of one that never was in the list. */
static void give_up(struct shim_launch* launch, enum lockstep_record_state state) {
  shim_end_ops(launch, state);
  pthread_mutex_lock(&shim_lock);
  const struct shim_events left = retire(launch);
  pthread_mutex_unlock(&shim_lock);
  shim_free_events(left);
}

void shim_send_off(struct shim_launch* launch, int code) {
  pthread_mutex_lock(&shim_lock);
  ++launch->comm->uses;
  pthread_mutex_unlock(&shim_lock);
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
  pthread_mutex_lock(&shim_lock);
  if (launch->is_held) ++launch->comm->held;
  launch->next = NULL;
  *last = launch;
  last = &launch->next;
  pthread_mutex_unlock(&shim_lock);
}

/* With the lock held: one that stays in the list, since only the shim's thread takes out. */
static struct shim_launch* find_held(const struct shim_comm* comm) {
  struct shim_launch* launch = first;
  while (launch != NULL && (launch->comm != comm || !launch->is_held)) launch = launch->next;
  return launch;
}

void shim_end_holding(struct shim_comm* comm, int code) {
  pthread_mutex_lock(&shim_lock);
  for (struct shim_launch* launch; comm->held > 0 && (launch = find_held(comm)) != NULL;) {
    shim_event after = NULL;
    pthread_mutex_unlock(&shim_lock);
    const bool is_on_stream = code == SHIM_NCCL_OK && mark_stream(launch, &after);
    pthread_mutex_lock(&shim_lock);
    --comm->held;
    launch->is_held = false;
    launch->after = after;
    if (is_on_stream) continue;
    shim_end_ops(launch, code == SHIM_NCCL_OK ? LOCKSTEP_RECORD_COMPLETED : LOCKSTEP_RECORD_ERROR);
    launch->is_over = true;
  }
  pthread_mutex_unlock(&shim_lock);
}

/* Events go with their communicator: the program may end its device next. One that the shim's
 * thread asks for just now is left to it. */
void shim_end_launches(struct shim_comm* comm, enum lockstep_record_state state) {
  shim_event events[SHIM_SPARE_EVENTS];
  bool again = true;
  while (again) {
    int count = 0;
    again = false;
    pthread_mutex_lock(&shim_lock);
    while (comm->spare_count > 0) events[count++] = comm->spares[--comm->spare_count];
    for (struct shim_launch* launch = first; launch != NULL; launch = launch->next) {
      if (launch->comm != comm || launch->is_abandoned) continue;
      again = count + 2 > SHIM_SPARE_EVENTS;
      if (again) break;
      shim_end_ops(launch, state);
      launch->is_over = launch->is_abandoned = true;
      if (launch->is_asked) continue;
      if (launch->before != NULL) events[count++] = launch->before;
      if (launch->after != NULL) events[count++] = launch->after;
      launch->before = launch->after = NULL;
    }
    pthread_mutex_unlock(&shim_lock);
    while (count > 0) shim_free_event(events[--count]);
  }
}
