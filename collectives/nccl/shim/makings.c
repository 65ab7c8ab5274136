// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/nccl/shim/makings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/shim/hashing.h"
#include "collectives/shim/recorded_values.h"

/* Its thread's alone, or in a list under shim_lock. */
struct shim_making {
  struct shim_making* next;
  struct shim_comm* parent; /* of a split */
  struct shim_comm* child;  /* of which it is a use */
  shim_nccl_comm* made;     /* the program's, where NCCL writes */
  shim_nccl_comm handle;    /* NULL: it is not written yet */
  shim_nccl_comm told_by;   /* whose state tells the end then: what it is made of */
  struct lockstep_ring_ticket ticket;
  bool is_counted; /* its thread, as one that waits */
};

static _Thread_local struct shim_making* grouped;
static struct shim_making* in_progress;

static const void* nccl_of;

void shim_set_nccl_of(const void* caller) { nccl_of = caller; }

/* --------------------------------------------------------------------------------- descriptions */

typedef int (*ask_comm)(shim_nccl_comm, int*);

static int ask(const char* name, shim_nccl_comm handle) {
  ask_comm function = NULL;
  int answer = -1;
  *(void**)&function = shim_find(name, nccl_of);
  return function != NULL && function(handle, &answer) == SHIM_NCCL_OK ? answer : -1;
}

/* The size and the rank of one that a split has made, once NCCL can tell. With the lock held, which
 * it lets go meanwhile; a use of `comm` is the caller's. */
static void know(struct shim_comm* comm) {
  pthread_mutex_unlock(&shim_lock);
  const int size = ask("ncclCommCount", comm->handle);
  const int rank = ask("ncclCommUserRank", comm->handle);
  pthread_mutex_lock(&shim_lock);
  if (size < 1 || rank < 0 || comm->size > 0) return;
  comm->rank = rank;
  comm->size = size;
  shim_take_seat(comm);
}

struct shim_comm* shim_find_known(shim_nccl_comm handle) {
  struct shim_comm* const comm = shim_find_comm(handle);
  if (comm == NULL || comm->size > 0) return comm;
  ++comm->uses;
  know(comm);
  const bool is_known = comm->size > 0 && !comm->is_gone;
  shim_release_comm(comm);
  return is_known ? comm : NULL;
}

/* ------------------------------------------------------------------------------------ beginning */

/* In whose seat the thread that makes it waits. */
static struct shim_comm* place_of(const struct shim_making* making) {
  return making->parent != NULL ? making->parent : making->child;
}

static void count(struct shim_making* making, int32_t change) {
  making->is_counted = change > 0;
  lockstep_ring_add_waiters(&shim_ring, place_of(making)->seat, false, change);
}

/* Takes `child`, and a seat for it if its size is known. With the lock held, which it lets go. */
static struct shim_making* begin(struct shim_call* call, struct shim_comm* parent,
                                 struct shim_comm* child, shim_nccl_comm* made) {
  struct shim_making* const making = child != NULL ? calloc(1, sizeof *making) : NULL;
  if (making == NULL) {
    if (child != NULL) shim_release_comm(child);
    pthread_mutex_unlock(&shim_lock);
    return NULL;
  }
  making->parent = parent;
  making->child = child;
  ++child->uses;
  making->made = made;
  making->told_by = call->handle;
  const uint64_t seq = parent != NULL ? ++parent->seq : 0;
  if (parent != NULL) {
    ++parent->uses;
  } else {
    shim_take_seat(child);
  }
  pthread_mutex_unlock(&shim_lock);
  making->ticket = shim_record(call, place_of(making), seq);
  if (shim_group_depth() == 0) {
    count(making, 1);
    return making;
  }
  making->next = grouped;
  grouped = making;
  return making;
}

struct shim_making* shim_begin_init(struct shim_call* call, const struct shim_unique_id* id,
                                    int size, int rank, shim_nccl_comm* made) {
  shim_set_inside(true);
  if (size < 1 || rank < 0 || rank >= size) return NULL; /* NCCL will say so */
  const uint64_t hash = shim_id_of(id);
  pthread_mutex_lock(&shim_lock);
  if (shim_is_there(hash)) {
    pthread_mutex_unlock(&shim_lock);
    return NULL;
  }
  return begin(call, NULL, shim_new_root_comm(hash, rank, size), made);
}

struct shim_making* shim_begin_split(struct shim_call* call, int color, shim_nccl_comm* made) {
  shim_set_inside(true);
  pthread_mutex_lock(&shim_lock);
  struct shim_comm* const parent = shim_find_known(call->handle);
  if (parent == NULL) {
    pthread_mutex_unlock(&shim_lock);
    return NULL;
  }
  const uint32_t number = ++parent->makings;
  char name[sizeof parent->name];
  snprintf(name, sizeof name, "%.32s split %u.%d", parent->name, number, color);
  const uint64_t id = shim_mix(shim_mix(parent->id, number), (uint32_t)color);
  return begin(call, parent, shim_new_comm(id, 0, 0, name), made);
}

/* Which one it is of those that leave out the same. */
static uint64_t count_same(uint64_t id) {
  static struct left_out {
    uint64_t id, count;
  }* known;
  static size_t known_count;
  size_t i = 0;
  while (i < known_count && known[i].id != id) ++i;
  if (i < known_count) return ++known[i].count;
  struct left_out* const more = realloc(known, (known_count + 1) * sizeof *known);
  if (more == NULL) return 0;
  known = more;
  known[known_count].id = id;
  known[known_count++].count = 0;
  return 0;
}

struct shim_making* shim_begin_shrink(struct shim_call* call, const int* excluded, int count,
                                      shim_nccl_comm* made) {
  shim_set_inside(true);
  pthread_mutex_lock(&shim_lock);
  const struct shim_comm* const parent = shim_find_known(call->handle);
  if (parent == NULL || parent->size <= count || count < 0) {
    pthread_mutex_unlock(&shim_lock);
    return NULL;
  }
  uint64_t id = shim_mix_text(parent->id, "shrink");
  int below = 0;
  for (int i = 0; i < count; ++i) {
    id = shim_mix(id, (uint32_t)excluded[i]);
    if (excluded[i] < parent->rank) ++below;
  }
  id = shim_mix(id, count_same(id));
  char name[sizeof parent->name];
  snprintf(name, sizeof name, "%.32s without %d", parent->name, count);
  return begin(call, NULL, shim_new_comm(id, parent->rank - below, parent->size - count, name),
               made);
}

/* --------------------------------------------------------------------------------------- ending */

/* NCCL gives out the handle of an init at once, and of a split or shrink at its end. */
static shim_nccl_comm handle_of(const struct shim_making* making) {
  return making->handle != NULL ? making->handle : *making->made;
}

static void end(struct shim_making* making, int code) {
  const shim_nccl_comm handle = code == SHIM_NCCL_OK ? handle_of(making) : NULL;
  if (making->is_counted) count(making, -1);
  shim_end_record(making->ticket, code);
  pthread_mutex_lock(&shim_lock);
  if (handle != NULL) {
    if (making->child->handle != handle) shim_add_comm(making->child, handle);
    if (making->child->size == 0) know(making->child);
  } else {
    shim_drop_comm(making->child); /* not of this color, or an error */
  }
  shim_release_comm(making->child);
  if (making->parent != NULL) shim_release_comm(making->parent);
  pthread_mutex_unlock(&shim_lock);
  free(making);
}

/* The program is to ask how far it is. */
static void keep(struct shim_making* making) {
  if (!making->is_counted) count(making, 1);
  pthread_mutex_lock(&shim_lock);
  making->handle = *making->made;
  if (making->handle != NULL) shim_add_comm(making->child, making->handle);
  making->next = in_progress;
  in_progress = making;
  pthread_mutex_unlock(&shim_lock);
}

static void end_or_keep(struct shim_making* making, int code) {
  if (code == SHIM_NCCL_IN_PROGRESS) {
    keep(making);
  } else {
    end(making, code);
  }
}

void shim_end_making(struct shim_making* making, int code) {
  if (making != NULL && shim_group_depth() == 0) end_or_keep(making, code);
  shim_set_inside(false);
}

void shim_wait_in_grouped_makings(int32_t change) {
  for (struct shim_making* making = grouped; making != NULL; making = making->next)
    count(making, change);
}

void shim_end_grouped_makings(int code) {
  shim_set_inside(true);
  while (grouped != NULL) {
    struct shim_making* const making = grouped;
    grouped = making->next;
    end_or_keep(making, code);
  }
  shim_set_inside(false);
}

/* ---------------------------------------------------------------------------------- in progress */

static bool concerns(const struct shim_making* making, shim_nccl_comm handle) {
  return handle == (making->handle != NULL ? making->handle : making->told_by);
}

static struct shim_making* take_concerned(shim_nccl_comm handle) {
  pthread_mutex_lock(&shim_lock);
  struct shim_making** at = &in_progress;
  while (*at != NULL && !concerns(*at, handle)) at = &(*at)->next;
  struct shim_making* const found = *at;
  if (found != NULL) *at = found->next;
  pthread_mutex_unlock(&shim_lock);
  return found;
}

void shim_end_makings_of(shim_nccl_comm handle, int code) {
  for (struct shim_making* making; (making = take_concerned(handle)) != NULL;) end(making, code);
}

void shim_hear_state(shim_nccl_comm handle, int state) {
  shim_set_inside(true);
  if (state != SHIM_NCCL_IN_PROGRESS) {
    shim_end_makings_of(handle, state);
    shim_end_holding(handle, state);
  }
  shim_set_inside(false);
}
