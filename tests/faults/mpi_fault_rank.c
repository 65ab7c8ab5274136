// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// An MPI program that has never heard of Lockstep, of which something goes wrong (fault.h).
#include <mpi.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/faults/fault.h"

enum { kOps = 60, kCount = 8 };

static float values[kCount];

static void AddUp(MPI_Comm group) {
  MPI_Allreduce(MPI_IN_PLACE, values, kCount, MPI_FLOAT, MPI_SUM, group);
}

static int is_stuck;

/* What the program adds up by. With one that is stuck in it the op has no end. */
static void Add(void* in, void* sum, int* count, MPI_Datatype* type) {
  (void)type;
  while (is_stuck) pause();
  for (int i = 0; i < *count; ++i) ((float*)sum)[i] += ((const float*)in)[i];
}

static void AddUpByOwnOp(int is_victim) {
  MPI_Op op;
  MPI_Op_create(&Add, 1, &op);
  is_stuck = is_victim;
  MPI_Allreduce(MPI_IN_PLACE, values, kCount, MPI_FLOAT, op, MPI_COMM_WORLD);
  MPI_Op_free(&op);
}

/* The op by which the victim does what is wrong, or that all do rightly. */
static void Differ(const struct fault* fault, int is_victim, MPI_Comm other) {
  const MPI_Comm world = MPI_COMM_WORLD;
  if (fault_is_in(fault, "between")) {
    AddUp(other);
    AddUp(world);
  } else if (fault_is(fault, "root")) {
    MPI_Bcast(values, kCount, MPI_FLOAT, is_victim ? 1 : 0, world);
  } else if (fault_is(fault, "deadlock")) {
    AddUp(is_victim ? other : world);
    AddUp(is_victim ? world : other);
  } else if (fault_is(fault, "skips")) {
    if (!is_victim) MPI_Bcast(values, kCount, MPI_FLOAT, 0, world);
    AddUp(world);
  } else if (fault_is(fault, "stalls")) {
    AddUpByOwnOp(is_victim);
  } else if (!is_victim) {
    AddUp(world);
  } else if (fault_is(fault, "op")) {
    MPI_Bcast(values, kCount, MPI_FLOAT, 0, world);
  } else if (fault_is(fault, "dtype")) {
    int numbers[kCount] = {0};
    MPI_Allreduce(MPI_IN_PLACE, numbers, kCount, MPI_INT, MPI_SUM, world);
  } else if (fault_is(fault, "reduction")) {
    MPI_Allreduce(MPI_IN_PLACE, values, kCount, MPI_FLOAT, MPI_MAX, world);
  } else if (fault_is(fault, "count")) {
    MPI_Allreduce(MPI_IN_PLACE, values, kCount - 1, MPI_FLOAT, MPI_SUM, world);
  } else {
    AddUp(world);
  }
}

int main(int argc, char** argv) {
  struct fault fault = fault_of(argc, argv);
  const char* const place = getenv("RANK");
  if (fault_is_in(&fault, "init") && place != NULL && fault_strikes(&fault, atoi(place)))
    fault_do(&fault);
  MPI_Init(&argc, &argv);
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm other = MPI_COMM_WORLD;
  if (fault_is(&fault, "deadlock")) MPI_Comm_dup(MPI_COMM_WORLD, &other);
  if (fault_is_in(&fault, "between")) {
    MPI_Comm_split(MPI_COMM_WORLD, rank / 2, rank, &other);
    AddUp(other);  // the first op of a group is waited for for longer
  }
  for (int op = 0; op < kOps; ++op) {
    fault_compute(&fault, rank, op);
    if (op == kFaultyOp) {
      fault_before_op(&fault, rank);
      Differ(&fault, fault_strikes(&fault, rank), other);
      continue;
    }
    AddUp(MPI_COMM_WORLD);
  }
  printf("rank %d is through\n", rank);
  fflush(stdout);
  MPI_Finalize();
  return 0;
}
