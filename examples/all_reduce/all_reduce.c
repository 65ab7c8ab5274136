// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
/*
 * The same in C, which needs no Bazel:
 *   gcc -I. examples/all_reduce/all_reduce.c -Lbazel-bin/runtime/rank/c -llockstep_collectives \
 *       -Wl,-rpath,"$PWD/bazel-bin/runtime/rank/c" -o all_reduce
 *   lockstep run -np 4 ./all_reduce */
#include <stdio.h>

#include "collectives/c/lockstep_collectives.h"
#include "runtime/rank/c/lockstep_rank.h"

static int fail(const lockstep_status* status) {
  fprintf(stderr, "%s\n", status->text);
  return 1;
}

int main(void) {
  enum { COUNT = 1 << 20 };
  lockstep_session* session;
  lockstep_group *world, *half;
  lockstep_shared_buffer* memory;
  lockstep_status status;
  const lockstep_options here = LOCKSTEP_HERE;

  if (lockstep_session_open(&session, &status) != 0) return fail(&status);
  if (lockstep_session_world_group(session, 0, &world, &status) != 0) return fail(&status);
  const int32_t rank = lockstep_group_rank(world);

  /* Memory that the other ranks can reach: the sum needs no copy. */
  if (lockstep_alloc_buffer(world, COUNT * sizeof(float), &here, &memory, &status) != 0)
    return fail(&status);
  float* const values = lockstep_shared_buffer_data(memory);
  for (int i = 0; i < COUNT; ++i) values[i] = (float)(rank + 1);
  const lockstep_buffer all = {values, COUNT, LOCKSTEP_F32, LOCKSTEP_CPU, 0};
  if (lockstep_finish(lockstep_all_reduce(world, &all, &all, LOCKSTEP_SUM, &here), &status) != 0)
    return fail(&status);

  if (lockstep_split(world, rank % 2, rank, &here, &half, &status) != 0) return fail(&status);
  double average = rank;
  const lockstep_buffer one = {&average, 1, LOCKSTEP_F64, LOCKSTEP_CPU, 0};
  if (lockstep_finish(lockstep_all_reduce(half, &one, &one, LOCKSTEP_AVERAGE, &here), &status) != 0)
    return fail(&status);
  printf("rank %d of %d: sum %.0f, average of its half %.1f\n", rank, lockstep_group_size(world),
         values[COUNT - 1], average);

  /* Nobody leaves while another still needs it. */
  if (lockstep_finish(lockstep_barrier(world, &here), &status) != 0) return fail(&status);
  lockstep_group_free(half);
  lockstep_shared_buffer_free(memory);
  lockstep_group_free(world);
  lockstep_session_close(session);
  return 0;
}
