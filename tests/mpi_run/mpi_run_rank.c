// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// An MPI program that has never heard of Lockstep, but for the round in which its fault happens.
//   mpi_run_rank FAULT VICTIM
// Its ranks add up their numbers in kOps all-reduces. In the first round, in the middle, rank
// VICTIM does as FAULT says; "none" is none.
#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { kOps = 40, kMiddle = 20, kCount = 8, kPause = 100 * 1000 };

static int is_first_round(void) {
  const char* round = getenv("LOCKSTEP_ROUND");
  return round == NULL || strcmp(round, "0") == 0;
}

/* The count of the all-reduce that is next. */
static int suffer(const char* fault) {
  if (strcmp(fault, "dies") == 0) raise(SIGKILL);
  if (strcmp(fault, "stops") == 0) raise(SIGSTOP);
  if (strcmp(fault, "aborts") == 0) MPI_Abort(MPI_COMM_WORLD, 7);
  if (strcmp(fault, "aborts-with-0") == 0) MPI_Abort(MPI_COMM_WORLD, 0);
  return strcmp(fault, "count") == 0 ? kCount - 1 : kCount;
}

int main(int argc, char** argv) {
  const char* fault = argc > 1 ? argv[1] : "none";
  const int victim = argc > 2 ? atoi(argv[2]) : -1;
  MPI_Init(&argc, &argv);
  int rank = 0;
  int size = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (strcmp(fault, "leaves") == 0 && rank == victim && is_first_round()) return 0;

  float sums[kCount];
  for (int op = 0; op < kOps; ++op) {
    int count = kCount;
    if (op == kMiddle && rank == victim && is_first_round()) count = suffer(fault);
    // For calls that ended well are compared once a second.
    if (strcmp(fault, "count") == 0) usleep(kPause);  // tidy:allow sleep: steps take time
    for (int i = 0; i < kCount; ++i) sums[i] = (float)(rank + 1);
    MPI_Allreduce(MPI_IN_PLACE, sums, count, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
  }
  if (strcmp(fault, "rests") == 0 && is_first_round()) pause();
  printf("rank %d of %d: sum %.0f\n", rank, size, (double)sums[0]);
  fflush(stdout);
  MPI_Finalize();
  return 0;
}
