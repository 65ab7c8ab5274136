// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/nccl/shim/communicators.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/shim/hashing.h"
#include "collectives/shim/recorded_values.h"

enum { BUCKETS = 256 };

struct lockstep_ring shim_ring;
struct shim_place shim_place;
pthread_mutex_t shim_lock = PTHREAD_MUTEX_INITIALIZER;

static struct shim_comm* buckets[BUCKETS];
static struct shim_comm* there; /* all that are */

static struct shim_comm** bucket_of(shim_nccl_comm handle) {
  return &buckets[shim_mix(0, (uintptr_t)handle) % BUCKETS];
}

struct shim_comm* shim_find_comm(shim_nccl_comm handle) {
  struct shim_comm* comm = *bucket_of(handle);
  while (comm != NULL && comm->handle != handle) comm = comm->next;
  return comm;
}

struct shim_comm* shim_new_comm(uint64_t id, int rank, int size, const char* name) {
  struct shim_comm* const comm = calloc(1, sizeof *comm);
  if (comm == NULL) return NULL;
  comm->id = id;
  comm->rank = rank;
  comm->size = size;
  comm->seat = -1;
  comm->uses = 1;
  snprintf(comm->name, sizeof comm->name, "%s", name);
  comm->next_there = there;
  there = comm;
  return comm;
}

bool shim_is_there(uint64_t id) {
  const struct shim_comm* comm = there;
  while (comm != NULL && comm->id != id) comm = comm->next_there;
  return comm != NULL;
}

uint64_t shim_id_of(const struct shim_unique_id* id) {
  uint64_t hash = shim_mix_text(0, "NCCL");
  for (size_t i = 0; i < sizeof id->bytes; i += sizeof hash) {
    uint64_t word;
    memcpy(&word, id->bytes + i, sizeof word);
    hash = shim_mix(hash, word);
  }
  return hash;
}

struct shim_comm* shim_new_root_comm(uint64_t id, int rank, int size) {
  char name[32];
  snprintf(name, sizeof name, "NCCL %06x", (unsigned)(id >> 40));
  return shim_new_comm(id, rank, size, name);
}

/* Who the others are by world rank, NCCL does not say: each member names itself alone. */
void shim_take_seat(struct shim_comm* comm) {
  if (comm->size < 1 || comm->is_gone) return;
  int32_t* const members = malloc((size_t)comm->size * sizeof *members);
  if (members == NULL) return;
  for (int i = 0; i < comm->size; ++i) members[i] = shim_place.rank; /* a stride of 0 */
  comm->seat = lockstep_ring_take_seat(&shim_ring, comm->id, shim_place.epoch, comm->rank,
                                       comm->size, members, comm->name);
  free(members);
}

static void unlink_comm(struct shim_comm* comm) {
  struct shim_comm** at = bucket_of(comm->handle);
  while (*at != NULL && *at != comm) at = &(*at)->next;
  if (*at != NULL) *at = comm->next;
}

void shim_add_comm(struct shim_comm* comm, shim_nccl_comm handle) {
  struct shim_comm* const before = shim_find_comm(handle);
  if (before != NULL) shim_drop_comm(before); /* it went a way that is not wrapped */
  comm->handle = handle;
  struct shim_comm** const bucket = bucket_of(handle);
  comm->next = *bucket;
  *bucket = comm;
}

void shim_drop_comm(struct shim_comm* comm) {
  if (comm->is_gone) return;
  comm->is_gone = true;
  unlink_comm(comm);
  lockstep_ring_leave_seat(&shim_ring, comm->seat);
  comm->seat = -1;
  shim_release_comm(comm);
}

void shim_release_comm(struct shim_comm* comm) {
  if (--comm->uses > 0) return;
  struct shim_comm** at = &there;
  while (*at != NULL && *at != comm) at = &(*at)->next_there;
  if (*at == NULL) return; /* a leak, if it were ever so, is better than a crash */
  *at = comm->next_there;
  free(comm->sent);
  free(comm->received);
  free(comm);
}

uint64_t shim_next_seq(struct shim_comm* comm, uint8_t kind, int peer) {
  if (kind != SHIM_SEND_KIND && kind != SHIM_RECV_KIND) return ++comm->seq;
  uint64_t** const counts = kind == SHIM_SEND_KIND ? &comm->sent : &comm->received;
  if (*counts == NULL) *counts = calloc((size_t)comm->size, sizeof **counts);
  return *counts != NULL && peer >= 0 && peer < comm->size ? ++(*counts)[peer] : 1;
}
