// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// A program over NCCL that has never heard of Lockstep, of which something goes wrong (fault.h);
// --id FILE is where its ranks tell each other the id.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/faults/fault.h"
#include "tests/nccl_shim/nccl_declarations.h"

enum { kOps = 60, kCount = 8 };

static ncclComm_t world, other;
static cudaStream_t stream;
static float in[kCount], out[kCount];

static void Ok(int code) {
  if (code == ncclSuccess) return;
  fprintf(stderr, "NCCL says %d\n", code);
  _exit(4);
}

static void AddUp(ncclComm_t group) {
  Ok(ncclAllReduce(in, out, kCount, ncclFloat32, ncclSum, group, stream));
  Ok(cudaStreamSynchronize(stream));
}

static void Differ(const struct fault* fault, int is_victim) {
  if (fault_is_in(fault, "between")) {
    AddUp(other);
    AddUp(world);
  } else if (fault_is(fault, "root")) {
    Ok(ncclBroadcast(in, out, kCount, ncclFloat32, is_victim ? 1 : 0, world, stream));
  } else if (fault_is(fault, "deadlock")) {
    AddUp(is_victim ? other : world);
    AddUp(is_victim ? world : other);
  } else if (fault_is(fault, "skips")) {
    if (!is_victim) Ok(ncclBroadcast(in, out, kCount, ncclFloat32, 0, world, stream));
    Ok(ncclAllReduce(in, out, kCount, ncclFloat32, ncclSum, world, stream));
  } else if (!is_victim) {
    Ok(ncclAllReduce(in, out, kCount, ncclFloat32, ncclSum, world, stream));
  } else if (fault_is(fault, "op")) {
    Ok(ncclBroadcast(in, out, kCount, ncclFloat32, 0, world, stream));
  } else {
    Ok(ncclAllReduce(in, out, fault_is(fault, "count") ? kCount / 2 : kCount,
                     fault_is(fault, "dtype") ? ncclInt32 : ncclFloat32,
                     fault_is(fault, "reduction") ? ncclMax : ncclSum, world, stream));
  }
  Ok(cudaStreamSynchronize(stream));
}

/* By a file that rank 0 writes. */
static ncclUniqueId ExchangeId(int rank, const char* path) {
  ncclUniqueId id;
  char draft[512];
  snprintf(draft, sizeof draft, "%s.draft", path);
  if (rank == 0) {
    Ok(ncclGetUniqueId(&id));
    FILE* const file = fopen(draft, "w");
    if (file == NULL || fwrite(&id, sizeof id, 1, file) != 1 || fclose(file) != 0) _exit(5);
    if (rename(draft, path) != 0) _exit(5);
    return id;
  }
  for (int tries = 0; tries < 30000; ++tries) {
    FILE* const file = fopen(path, "r");
    if (file != NULL) {
      if (fread(&id, sizeof id, 1, file) != 1) _exit(5);
      fclose(file);
      return id;
    }
    usleep(1000);  // tidy:allow sleep: there is no event for another process's file
  }
  _exit(5);
}

int main(int argc, char** argv) {
  struct fault fault = fault_of(argc, argv);
  const char* path = NULL;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (strcmp(argv[i], "--id") == 0) path = argv[i + 1];
  }
  const char* const place = getenv("RANK");
  const char* const size = getenv("WORLD_SIZE");
  if (path == NULL || place == NULL || size == NULL) return 2;
  const int rank = atoi(place);
  if (fault_is_in(&fault, "init") && fault_strikes(&fault, rank)) fault_do(&fault);
  const ncclUniqueId id = ExchangeId(rank, path);
  Ok(cudaStreamCreateWithFlags(&stream, 1));
  Ok(ncclCommInitRank(&world, atoi(size), id, rank));
  if (fault_is(&fault, "deadlock")) Ok(ncclCommSplit(world, 0, rank, &other, NULL));
  if (fault_is_in(&fault, "between")) {
    Ok(ncclCommSplit(world, rank / 2, rank, &other, NULL));
    AddUp(other);  // the first op of a group is waited for for longer
  }
  for (int op = 0; op < kOps; ++op) {
    fault_compute(&fault, rank, op);
    if (op == kFaultyOp) {
      fault_before_op(&fault, rank);
      Differ(&fault, fault_strikes(&fault, rank));
    } else {
      AddUp(world);
    }
  }
  Ok(ncclCommDestroy(world));
  printf("rank %d is through\n", rank);
  return 0;
}
