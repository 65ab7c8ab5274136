// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/mpi/shim/communicators.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 256 };

static struct shim_comm* buckets[BUCKETS];

static struct shim_comm** bucket_of(shim_word handle) {
  return &buckets[shim_mix(0, handle) % BUCKETS];
}

struct shim_comm* shim_find_comm(shim_word handle) {
  struct shim_comm* comm = *bucket_of(handle);
  while (comm != NULL && comm->handle != handle) comm = comm->next;
  return comm;
}

uint32_t shim_next_making(struct shim_comm* parent) { return parent->makings++; }

static void free_comm(struct shim_comm* comm) {
  free(comm->members);
  free(comm->sent);
  free(comm->received);
  free(comm);
}

void shim_release_comm(struct shim_comm* comm) {
  if (--comm->uses == 0) free_comm(comm);
}

static void unlink_comm(struct shim_comm* comm) {
  struct shim_comm** at = bucket_of(comm->handle);
  while (*at != NULL && *at != comm) at = &(*at)->next;
  if (*at != NULL) *at = comm->next;
}

void shim_drop_comm(const struct lockstep_ring* ring, struct shim_comm* comm) {
  unlink_comm(comm);
  lockstep_ring_leave_seat(ring, comm->seat);
  comm->seat = -1;
  shim_release_comm(comm);
}

/* The handle and the seat are to come. NULL: no memory. */
static struct shim_comm* new_comm(int rank, int size) {
  struct shim_comm* const comm = calloc(1, sizeof *comm);
  int32_t* const members = calloc((size_t)size, sizeof *members);
  if (comm == NULL || members == NULL) {
    free(comm);
    free(members);
    return NULL;
  }
  comm->rank = rank;
  comm->size = size;
  comm->seat = -1;
  comm->members = members;
  comm->uses = 1;
  return comm;
}

static void take_seat(const struct lockstep_ring* ring, uint32_t epoch, struct shim_comm* comm) {
  comm->seat = lockstep_ring_take_seat(ring, comm->id, epoch, comm->rank, comm->size, comm->members,
                                       comm->name);
}

struct shim_comm* shim_make_world(const struct lockstep_ring* ring, uint32_t epoch, int rank,
                                  int size) {
  struct shim_comm* const world = new_comm(rank, size);
  if (world == NULL) return NULL;
  for (int i = 0; i < size; ++i) world->members[i] = i;
  world->id = shim_mix_text(0, "MPI_COMM_WORLD");
  snprintf(world->name, sizeof world->name, "MPI_COMM_WORLD");
  take_seat(ring, epoch, world);
  return world;
}

static void link_comm(struct shim_comm* comm) {
  struct shim_comm** const bucket = bucket_of(comm->handle);
  comm->next = *bucket;
  *bucket = comm;
}

void shim_open_world(const struct shim_mpi* mpi, const struct lockstep_ring* ring, uint32_t epoch,
                     struct shim_comm* world) {
  world->handle = mpi->comm_world;
  link_comm(world);
  struct shim_comm* const self = new_comm(0, 1);
  if (self == NULL) return;
  self->handle = mpi->comm_self;
  self->members[0] = world->rank;
  self->id = shim_mix(shim_mix_text(0, "MPI_COMM_SELF"), (uint64_t)world->rank);
  snprintf(self->name, sizeof self->name, "MPI_COMM_SELF");
  shim_add_comm(ring, epoch, self);
}

/* Which one it is of those that some members of a parent, and always the same, have made. */
static uint64_t count_same(uint64_t id) {
  static struct made_by_some {
    uint64_t id, count;
  }* made;
  static size_t made_count;
  size_t i = 0;
  while (i < made_count && made[i].id != id) ++i;
  if (i < made_count) return ++made[i].count;
  struct made_by_some* const more = realloc(made, (made_count + 1) * sizeof *made);
  if (more == NULL) return 0;
  made = more;
  made[made_count].id = id;
  made[made_count++].count = 0;
  return 0;
}

void shim_add_comm(const struct lockstep_ring* ring, uint32_t epoch, struct shim_comm* comm) {
  if (comm->is_of_some) comm->id = shim_mix(comm->id, count_same(comm->id));
  struct shim_comm* const before = shim_find_comm(comm->handle);
  if (before != NULL) shim_drop_comm(ring, before); /* it went a way that is not wrapped */
  take_seat(ring, epoch, comm);
  link_comm(comm);
}

static bool find_members(const struct shim_mpi* mpi, struct shim_comm* comm) {
  shim_word group = 0, world = 0;
  int* const ranks = malloc((size_t)comm->size * sizeof *ranks);
  bool found = ranks != NULL && mpi->Comm_group(comm->handle, &group) == SHIM_OK;
  if (found && mpi->Comm_group(mpi->comm_world, &world) != SHIM_OK) {
    mpi->Group_free(&group);
    found = false;
  }
  if (found) {
    for (int i = 0; i < comm->size; ++i) ranks[i] = i;
    found = mpi->Group_translate_ranks(group, comm->size, ranks, world, comm->members) == SHIM_OK;
    mpi->Group_free(&group);
    mpi->Group_free(&world);
  }
  for (int i = 0; found && i < comm->size; ++i) found = comm->members[i] >= 0;
  free(ranks);
  return found;
}

struct shim_comm* shim_describe(const struct shim_mpi* mpi, shim_word handle,
                                const struct shim_comm* parent, uint32_t making, const char* way) {
  int rank = 0, size = 0, joins_two = 0;
  if (mpi->Comm_test_inter(handle, &joins_two) != SHIM_OK || joins_two != 0 ||
      mpi->Comm_rank(handle, &rank) != SHIM_OK || mpi->Comm_size(handle, &size) != SHIM_OK)
    return NULL;
  struct shim_comm* const comm = new_comm(rank, size);
  if (comm == NULL) return NULL;
  comm->handle = handle;
  if (!find_members(mpi, comm)) {
    free_comm(comm);
    return NULL;
  }
  uint64_t id = shim_mix(parent->id, making);
  for (int i = 0; i < size; ++i) id = shim_mix(id, (uint64_t)comm->members[i]);
  comm->id = id;
  comm->is_of_some = making == UINT32_MAX;
  const int root = (int)strcspn(parent->name, " ");
  if (making == UINT32_MAX) {
    snprintf(comm->name, sizeof comm->name, "%.*s %s", root, parent->name, way);
  } else {
    snprintf(comm->name, sizeof comm->name, "%.*s %s %u", root, parent->name, way, making + 1);
  }
  return comm;
}

uint64_t shim_next_sent(struct shim_comm* comm, int peer) {
  if (comm->sent == NULL) comm->sent = calloc((size_t)comm->size, sizeof *comm->sent);
  return comm->sent != NULL && peer < comm->size ? ++comm->sent[peer] : 1;
}

static uint64_t* received_from(struct shim_comm* comm, int peer) {
  if (comm->received == NULL)
    comm->received = calloc((size_t)comm->size + 1, sizeof *comm->received);
  if (comm->received == NULL || peer >= comm->size) return NULL;
  return &comm->received[peer < 0 ? comm->size : peer];
}

uint64_t shim_next_received(struct shim_comm* comm, int peer) {
  uint64_t* const count = received_from(comm, peer);
  return count != NULL ? ++*count : 1;
}

uint64_t shim_awaited(struct shim_comm* comm, int peer) {
  const uint64_t* const count = received_from(comm, peer);
  return count != NULL ? *count + 1 : 1;
}
