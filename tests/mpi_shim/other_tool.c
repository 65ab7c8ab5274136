// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// Somebody else's tool over MPI.
#include <mpi.h>
#include <stdio.h>

int MPI_Init(int* argc, char*** argv) {
  const int code = PMPI_Init(argc, argv);
  fprintf(stderr, "the tool saw MPI_Init\n");
  return code;
}

int MPI_Barrier(MPI_Comm comm) {
  fprintf(stderr, "the tool saw MPI_Barrier\n");
  return PMPI_Barrier(comm);
}
