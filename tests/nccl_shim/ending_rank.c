// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// A rank of nccl_shim_ending_test, with the shim's sources in it under the address sanitizer. Of
// two threads, one aborts a communicator while the other's call of it stands, as a watchdog does.
// What it did it says in a line.
#include <pthread.h>
#include <sanitizer/lsan_interface.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/nccl_shim/nccl_declarations.h"
#include "tests/nccl_shim/scripted_nccl.h"

enum { kUnknown = 4 };

static ncclComm_t world, part;
static const char* where;
static void* (*what)(void*);

static void Ok(int code) {
  if (code == ncclSuccess) return;
  fprintf(stderr, "NCCL says %d\n", code);
  exit(4);
}

static void Sum(ncclComm_t comm) {
  static float in[8], out[8];
  static int stream; /* any address */
  Ok(ncclAllReduce(in, out, 8, ncclFloat32, ncclSum, comm, &stream) & ~scripted_op_code);
}

static void Init(char id) {
  const ncclUniqueId unique = {{id}};
  Ok(ncclCommInitRank(&world, 1, unique, 0));
}

static void* AbortWorld(void* nothing) {
  Ok(ncclCommAbort(world));
  return nothing;
}

static void* AbortPart(void* nothing) {
  Ok(ncclCommAbort(part));
  return nothing;
}

static void* AbortWorldAndInit(void* nothing) {
  const ncclComm_t before = world;
  Ok(ncclCommAbort(world));
  Init('b');
  Ok(world == before ? ncclSuccess : kUnknown); /* the handle is the same again */
  return nothing;
}

static void* BreakStreams(void* nothing) {
  scripted_break_streams();
  return nothing;
}

static void DoInAnotherThread(const char* function) {
  pthread_t thread;
  if (strcmp(function, where) != 0) return;
  scripted_within = NULL;
  pthread_create(&thread, NULL, what, NULL);
  pthread_join(thread, NULL);
  usleep(200000);  // tidy:allow sleep: the shim's thread tells nobody that it has come by
}

// Once, when the next call comes to `function`.
static void Then(const char* function, void* (*does)(void*)) {
  where = function;
  what = does;
  scripted_within = &DoInAnotherThread;
}

static void AbortsWhileDestroyHangs(void) {
  Sum(world);
  Then("ncclCommDestroy", &AbortWorldAndInit);
  Ok(ncclCommDestroy(world));
  Sum(world); /* the new one */
  Ok(ncclCommDestroy(world));
}

static void AbortsWhileAnOpHangs(void) {
  Then("ncclAllReduce", &AbortWorld);
  Sum(world);
}

static void AbortsWhileItHearsOfTheEnd(void) {
  int state = 0;
  scripted_op_code = ncclInProgress;
  Sum(world);
  Sum(world);
  Then("cuEventRecord", &AbortWorld);
  Ok(ncclCommGetAsyncError(world, &state));
}

static void StreamBreaksWhileItHearsOfTheEnd(void) {
  int state = 0;
  scripted_op_code = ncclInProgress;
  Sum(world);
  Then("cuEventRecord", &BreakStreams);
  Ok(ncclCommGetAsyncError(world, &state));
  Ok(ncclCommDestroy(world));
}

static void AbortsWhileItAsksTheSizeOfASplit(void) {
  Then("ncclCommCount", &AbortPart);
  Ok(ncclCommSplit(world, 0, 0, &part, NULL));
  Ok(ncclCommDestroy(world));
}

static void AbortsWhileAnOpAsksTheSize(void) {
  scripted_count_code = kUnknown;
  Ok(ncclCommSplit(world, 0, 0, &part, NULL));
  scripted_count_code = ncclSuccess;
  Then("ncclCommCount", &AbortPart);
  Sum(part);
  Ok(ncclCommDestroy(world));
}

int main(int argc, char** argv) {
  const char* const mode = argc > 1 ? argv[1] : "";
  Init('a');
  if (strcmp(mode, "destroy") == 0) AbortsWhileDestroyHangs();
  if (strcmp(mode, "op") == 0) AbortsWhileAnOpHangs();
  if (strcmp(mode, "state") == 0) AbortsWhileItHearsOfTheEnd();
  if (strcmp(mode, "breaks") == 0) StreamBreaksWhileItHearsOfTheEnd();
  if (strcmp(mode, "split") == 0) AbortsWhileItAsksTheSizeOfASplit();
  if (strcmp(mode, "size") == 0) AbortsWhileAnOpAsksTheSize();
  for (int tries = 0; scripted_events() > 0 && tries < 10000; ++tries)
    usleep(1000);  // tidy:allow sleep: the shim's thread frees the rest, and tells nobody
  printf("%d events are left, and the call %s\n", scripted_events(),
         scripted_within == NULL ? "came" : "did not come");
  __lsan_do_leak_check(); /* not at the end, when the shim's thread may drop what it has in hand */
  return 0;
}
