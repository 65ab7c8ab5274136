// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// A rank of mpi_shim_test that calls MPI as a Fortran program does: by reference, with integers for
// handles.
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

void mpi_init_(MPI_Fint* error);
void mpi_finalize_(MPI_Fint* error);
void mpi_barrier_(MPI_Fint* comm, MPI_Fint* error);
void mpi_allreduce_(void* in, void* out, MPI_Fint* count, MPI_Fint* type, MPI_Fint* op,
                    MPI_Fint* comm, MPI_Fint* error);
void mpi_ibcast_(void* data, MPI_Fint* count, MPI_Fint* type, MPI_Fint* root, MPI_Fint* comm,
                 MPI_Fint* request, MPI_Fint* error);
void mpi_wait_(MPI_Fint* request, MPI_Fint* status, MPI_Fint* error);
void mpi_comm_split_(MPI_Fint* comm, MPI_Fint* color, MPI_Fint* key, MPI_Fint* made,
                     MPI_Fint* error);
void mpi_comm_free_(MPI_Fint* comm, MPI_Fint* error);
void mpi_isend_(void* data, MPI_Fint* count, MPI_Fint* type, MPI_Fint* peer, MPI_Fint* tag,
                MPI_Fint* comm, MPI_Fint* request, MPI_Fint* error);
void mpi_recv_init_(void* data, MPI_Fint* count, MPI_Fint* type, MPI_Fint* peer, MPI_Fint* tag,
                    MPI_Fint* comm, MPI_Fint* request, MPI_Fint* error);
void mpi_start_(MPI_Fint* request, MPI_Fint* error);
void mpi_waitall_(MPI_Fint* count, MPI_Fint* requests, MPI_Fint* statuses, MPI_Fint* error);
void mpi_waitany_(MPI_Fint* count, MPI_Fint* requests, MPI_Fint* index, MPI_Fint* status,
                  MPI_Fint* error);

static MPI_Fint error;

static void Check(int holds, const char* what) {
  if (holds && error == MPI_SUCCESS) return;
  fprintf(stderr, "%s is wrong\n", what);
  exit(3);
}

int main(void) {
  mpi_init_(&error);
  MPI_Fint world = MPI_Comm_c2f(MPI_COMM_WORLD), real = MPI_Type_c2f(MPI_FLOAT);
  MPI_Fint sum = MPI_Op_c2f(MPI_SUM), one = 1, two = 2, root = 2, tag = 5;
  MPI_Fint request, requests[2], half, index, status[32];
  int rank, size;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  float in = (float)(rank + 1), out = 0, got = 0;

  mpi_barrier_(&world, &error);
  mpi_allreduce_(&in, &out, &one, &real, &sum, &world, &error);
  Check(out == (float)(size * (size + 1)) / 2, "all_reduce");
  out = in;
  mpi_ibcast_(&out, &one, &real, &root, &world, &request, &error);
  mpi_wait_(&request, status, &error);
  Check(out == 3, "broadcast");
  MPI_Fint color = rank == 1, key = rank;
  mpi_comm_split_(&world, &color, &key, &half, &error);
  mpi_barrier_(&half, &error);
  mpi_comm_free_(&half, &error);

  MPI_Fint right = (rank + 1) % size, left = (rank + size - 1) % size;
  mpi_recv_init_(&got, &one, &real, &left, &tag, &world, &requests[0], &error);
  for (int round = 0; round < 2; ++round) {
    mpi_start_(&requests[0], &error);
    mpi_isend_(&in, &one, &real, &right, &tag, &world, &requests[1], &error);
    if (round == 0) {
      mpi_waitall_(&two, requests, status, &error);
    } else {
      mpi_waitany_(&two, requests, &index, status, &error);
      mpi_waitany_(&two, requests, &index, status, &error);
    }
    Check(got == (float)(left + 1), "what was received");
  }
  mpi_finalize_(&error);
  return 0;
}
