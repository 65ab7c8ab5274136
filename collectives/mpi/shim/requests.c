// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/mpi/shim/requests.h"

#include <stdlib.h>
#include <string.h>

/* Open addressing; what is removed is closed up. At most half full. */
static struct shim_request* places;
static size_t place_count; /* 0 or a power of two */
static size_t request_count;

static size_t home_of(shim_word handle) { return shim_mix(0, handle) & (place_count - 1); }

static size_t after(size_t place) { return (place + 1) & (place_count - 1); }

static void put(const struct shim_request* request) {
  size_t place = home_of(request->handle);
  while (places[place].handle != 0) place = after(place);
  places[place] = *request;
}

static bool grow(void) {
  struct shim_request* const old = places;
  const size_t old_count = place_count;
  const size_t new_count = old_count == 0 ? 64 : old_count * 2;
  struct shim_request* const more = calloc(new_count, sizeof *more);
  if (more == NULL) return false;
  places = more;
  place_count = new_count;
  for (size_t i = 0; i < old_count; ++i) {
    if (old[i].handle != 0) put(&old[i]);
  }
  free(old);
  return true;
}

void shim_add_request(const struct shim_request* request) {
  if (request->handle == 0 || ((request_count + 1) * 2 > place_count && !grow())) return;
  ++request->comm->uses;
  ++request_count;
  put(request);
}

struct shim_request* shim_find_request(shim_word handle) {
  if (request_count == 0) return NULL;
  size_t place = home_of(handle);
  while (places[place].handle != 0 && places[place].handle != handle) place = after(place);
  return places[place].handle != 0 ? &places[place] : NULL;
}

void shim_remove_request(struct shim_request* request) {
  struct shim_comm* const comm = request->comm;
  free(request->start);
  --request_count;
  size_t hole = (size_t)(request - places);
  for (size_t place = after(hole); places[place].handle != 0; place = after(place)) {
    /* It may move up unless its home lies behind the hole. */
    const size_t home = home_of(places[place].handle);
    const bool stays = hole < place ? home > hole && home <= place : home > hole || home <= place;
    if (stays) continue;
    places[hole] = places[place];
    hole = place;
  }
  memset(&places[hole], 0, sizeof places[hole]);
  shim_release_comm(comm);
}
