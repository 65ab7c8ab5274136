// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
/* A program in plain C that attaches: every function that attach_client.h and shared_memory.h offer
 * is linked. */
#include <stdio.h>
#include <unistd.h>

#include "runtime/attach/attach_client.h"
#include "runtime/attach/shared_memory.h"

int main(int argc, char** argv) {
  lockstep_attach* client = NULL;
  struct lockstep_attach_world world;
  struct lockstep_attach_error error = {0};
  int ring = -1;
  const char* const path = argc > 1 ? argv[1] : "";
  const char* const cookie = argc > 2 ? argv[2] : "";
  const int result = lockstep_attach_open(path, cookie, 1000, &client, &world, &ring, &error);
  if (result != LOCKSTEP_ATTACH_OK) {
    printf("%d %s\n", result, error.text);
    return close(lockstep_shared_memory_create("test", 4096));
  }
  struct lockstep_attach_segment_request request = {
      .bytes = 4096, .member_count = 1, .epoch = world.round};
  struct lockstep_attach_notices notices;
  int segment = -1;
  return lockstep_attach_get_segment(client, &request, 1000, &segment, &error) ||
         lockstep_attach_send_progress(client, 1) || lockstep_attach_poll(client, &notices) ||
         close(segment) || close(ring) || (lockstep_attach_close(client), 0);
}
