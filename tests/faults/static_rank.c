// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// A program that is linked statically; with WITH_MPI it has in itself what shows, in a program's
// file, that an MPI is linked into it: the names of functions, and words in what it may say.
#include <stdio.h>

#ifdef WITH_MPI
int MPI_Init(int* argc, char*** argv);

int MPI_Init(int* argc, char*** argv) {
  if (argc == NULL)
    printf("MPI_Init(argc=%p, argv=%p) failed in MPI_COMM_WORLD\n", (void*)argc, (void*)argv);
  return argc == NULL;
}
#endif

int main(int argc, char** argv) {
  (void)argc, (void)argv;
#ifdef WITH_MPI
  int (*volatile const init)(int*, char***) = &MPI_Init; /* which so stays in the program */
  if (init(&argc, &argv) != 0) return 1;
#endif
  puts("it has run");
  return 0;
}
