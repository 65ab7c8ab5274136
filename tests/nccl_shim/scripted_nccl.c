// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/nccl_shim/scripted_nccl.h"

#include <stdbool.h>
#include <stdlib.h>

#include "tests/nccl_shim/nccl_declarations.h"

enum { kComms = 4, kOutOfHandles = 3, kNotReady = 600, kIllegalAddress = 700 };

int scripted_op_code, scripted_count_code;
void (*scripted_within)(const char* function);

static bool taken[kComms]; /* a handle is the address of its element */
static int events;
static bool is_broken;

int scripted_events(void) { return __atomic_load_n(&events, __ATOMIC_SEQ_CST); }

void scripted_break_streams(void) { __atomic_store_n(&is_broken, true, __ATOMIC_SEQ_CST); }

static void Within(const char* function) {
  if (scripted_within != NULL) scripted_within(function);
}

static int Take(ncclComm_t* comm) {
  for (int i = 0; i < kComms; ++i) {
    if (taken[i]) continue;
    taken[i] = true;
    *comm = (ncclComm_t)&taken[i];
    return ncclSuccess;
  }
  return kOutOfHandles;
}

int ncclCommInitRank(ncclComm_t* comm, int size, ncclUniqueId id, int rank) {
  (void)size, (void)id, (void)rank;
  return Take(comm);
}
int ncclCommSplit(ncclComm_t comm, int color, int key, ncclComm_t* made, ncclConfig_t* config) {
  (void)comm, (void)color, (void)key, (void)config;
  return Take(made);
}
int ncclCommCount(void* comm, int* count) {
  (void)comm;
  Within("ncclCommCount");
  *count = 1;
  return scripted_count_code;
}
int ncclCommUserRank(void* comm, int* rank) {
  (void)comm;
  *rank = 0;
  return ncclSuccess;
}
int ncclCommGetAsyncError(ncclComm_t comm, int* state) {
  (void)comm;
  *state = ncclSuccess;
  return ncclSuccess;
}
int ncclCommDestroy(ncclComm_t comm) {
  *(bool*)comm = false;
  Within("ncclCommDestroy");
  return ncclSuccess;
}
int ncclCommAbort(ncclComm_t comm) {
  *(bool*)comm = false;
  return ncclSuccess;
}
int ncclAllReduce(const void* in, void* out, size_t count, int type, int op, ncclComm_t comm,
                  cudaStream_t stream) {
  (void)in, (void)out, (void)count, (void)type, (void)op, (void)comm, (void)stream;
  Within("ncclAllReduce");
  return scripted_op_code;
}

int cuEventCreate(void** event, unsigned flags) {
  (void)flags;
  *event = malloc(1);
  __atomic_add_fetch(&events, 1, __ATOMIC_SEQ_CST);
  return 0;
}
int cuEventDestroy_v2(void* event) {
  free(event);
  __atomic_add_fetch(&events, -1, __ATOMIC_SEQ_CST);
  return 0;
}
int cuEventRecord(void* event, void* stream) {
  (void)event, (void)stream;
  Within("cuEventRecord");
  return 0;
}
int cuEventQuery(void* event) {
  (void)event;
  return __atomic_load_n(&is_broken, __ATOMIC_SEQ_CST) ? kIllegalAddress : kNotReady;
}
int cuStreamIsCapturing(void* stream, int* status) {
  (void)stream;
  *status = 0;
  return 0;
}
int cuStreamGetCtx(void* stream, void** context) {
  (void)stream;
  return cuCtxGetCurrent(context);
}
int cuCtxGetCurrent(void** context) {
  *context = &events;
  return 0;
}
int cuCtxSetCurrent(void* context) {
  (void)context;
  return 0;
}
int cuCtxPushCurrent_v2(void* context) { return cuCtxSetCurrent(context); }
int cuCtxPopCurrent_v2(void** context) { return cuCtxGetCurrent(context); }
int cuThreadExchangeStreamCaptureMode(int* mode) {
  (void)mode;
  return 0;
}
