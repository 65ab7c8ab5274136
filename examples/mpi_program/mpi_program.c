// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// A program as people have it: each rank goes over its batches, and all add up their gradients
// after each.
//   mpirun -np 3 mpi_program
//   mpirun -np 3 mpi_program 9    rank 1 has 9 batches, the others 10: this one hangs, until
//                                 somebody ends it
//   lockstep run -np 3 mpi_program      without mpirun
//   lockstep run -np 3 mpi_program 9    ends within a second or two, and names rank 1 and its call
// with_lockstep_main.cc is the same over Lockstep's groups.
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

enum { kWeights = 1000, kBatches = 10 };

int main(int argc, char** argv) {
  int rank = 0;
  int size = 0;
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);

  float weights[kWeights] = {0};
  float gradient[kWeights];
  const int batches = argc > 1 && rank == 1 ? atoi(argv[1]) : kBatches;
  for (int batch = 0; batch < batches; ++batch) {
    for (int i = 0; i < kWeights; ++i) gradient[i] = (float)(rank + batch);
    MPI_Allreduce(MPI_IN_PLACE, gradient, kWeights, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
    for (int i = 0; i < kWeights; ++i) weights[i] += gradient[i] / (float)size;
  }
  printf("rank %d of %d: weight %.1f\n", rank, size, (double)weights[kWeights - 1]);
  MPI_Finalize();
  return 0;
}
