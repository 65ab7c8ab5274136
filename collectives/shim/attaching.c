// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/shim/attaching.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "collectives/shim/old_glibc.h"
#include "runtime/attach/attach_client.h"

enum { ATTACH_TIMEOUT_MS = 10000 };

static const char* socket_path(void) { return getenv("LOCKSTEP_SOCKET"); }
static const char* cookie(void) { return getenv("LOCKSTEP_COOKIE"); }

bool shim_has_agent(void) { return socket_path() != NULL && cookie() != NULL && &dlsym != NULL; }

void shim_say_unrecorded(const char* library, const char* what, const char* of) {
  dprintf(STDERR_FILENO, "lockstep: the %s calls of this process (pid %d) are not recorded: %s%s\n",
          library, (int)getpid(), what, of);
}

static bool open_ring(const char* library, int fd, struct lockstep_ring* ring) {
  char why[300] = "";
  if (lockstep_ring_open(fd, ring, why, sizeof why) != LOCKSTEP_RING_OK) {
    shim_say_unrecorded(library, why, "");
    return false;
  }
  const struct lockstep_ring_header* const header = ring->memory;
  /* A program that the rank has started, with its environment, is not the rank. */
  return header->pid == getpid();
}

bool shim_attach(const char* library, struct lockstep_ring* ring, struct shim_place* place) {
  lockstep_attach* client = NULL;
  struct lockstep_attach_world* const world = calloc(1, sizeof *world); /* it is large */
  struct lockstep_attach_error error;
  int fd = -1;
  if (world == NULL) return false;
  if (lockstep_attach_open(socket_path(), cookie(), ATTACH_TIMEOUT_MS, &client, world, &fd,
                           &error) != LOCKSTEP_ATTACH_OK) {
    free(world);
    shim_say_unrecorded(library, "attaching to the agent: ", error.text);
    return false;
  }
  place->epoch = world->round;
  place->rank = world->rank;
  place->size = world->world_size;
  free(world);
  const bool opened = open_ring(library, fd, ring);
  close(fd);
  lockstep_attach_close(client); /* the ring is all that is needed */
  return opened;
}

uint64_t shim_now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}
