// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// An MPI program that has never heard of Lockstep, of which rank 1 does what the first word says:
//   mpicc -o mpi_hang mpi_hang.c
//   lockstep run -np 3 mpi_hang op
//   mpirun -np 3 lockstep exec --watch=mpi --on-hang=kill -- mpi_hang op
//   mpirun -np 3 mpi_hang op          hangs, until somebody ends it
#include <mpi.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { kSteps = 40, kFaultyStep = 10, kVictim = 1, kWeights = 1000, kStepMicroseconds = 100000 };

struct all_reduce {
  int count;
  MPI_Datatype type;
};

/* Before the all-reduce that is next: what all do, but for rank 1. */
static struct all_reduce do_fault(const char* fault, int rank, float* weights) {
  const bool is_victim = rank == kVictim;
  struct all_reduce next = {kWeights, MPI_FLOAT};
  if (is_victim && strcmp(fault, "is-killed") == 0) raise(SIGKILL);
  if (is_victim && strcmp(fault, "stops") == 0) raise(SIGSTOP);
  if (is_victim && strcmp(fault, "op") == 0) MPI_Barrier(MPI_COMM_WORLD);
  if (is_victim && strcmp(fault, "sleeps") == 0) pause();
  if (is_victim && strcmp(fault, "count") == 0) next.count = kWeights - 1;
  if (is_victim && strcmp(fault, "dtype") == 0) next.type = MPI_INT;
  if (strcmp(fault, "root") == 0)
    MPI_Bcast(weights, kWeights, MPI_FLOAT, is_victim ? kVictim : 0, MPI_COMM_WORLD);
  return next;
}

int main(int argc, char** argv) {
  static const char* const faults[] = {"is-killed", "stops", "op",  "sleeps",
                                       "count",     "dtype", "root"};
  const char* fault = NULL;
  for (size_t i = 0; argc == 2 && i < sizeof(faults) / sizeof(faults[0]); ++i)
    if (strcmp(argv[1], faults[i]) == 0) fault = argv[1];
  if (fault == NULL) {
    fputs("mpi_hang FAULT, where FAULT is one of: is-killed stops op sleeps count dtype root\n",
          stderr);
    return 64;
  }
  MPI_Init(&argc, &argv);
  static float gradient[kWeights];
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  for (int step = 0; step < kSteps; ++step) {
    usleep(kStepMicroseconds);  // tidy:allow sleep: a step takes time
    struct all_reduce next = {kWeights, MPI_FLOAT};
    if (step == kFaultyStep) next = do_fault(fault, rank, gradient);
    MPI_Allreduce(MPI_IN_PLACE, gradient, next.count, next.type, MPI_SUM, MPI_COMM_WORLD);
  }
  MPI_Finalize();
  return 0;
}
