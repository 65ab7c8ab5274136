// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// NCCL's and CUDA's functions that the shim and cost_rank.c call, under both names that NCCL has
// for each, and with nothing behind them: streams pass at once.
#include "tests/nccl_shim/nccl_declarations.h"

static char object; /* any address that is none else's */

int ncclGetUniqueId(ncclUniqueId* id) {
  *id = (ncclUniqueId){{0}};
  return ncclSuccess;
}
int ncclCommInitRank(ncclComm_t* comm, int size, ncclUniqueId id, int rank) {
  (void)size, (void)id, (void)rank;
  *comm = (ncclComm_t)&object;
  return ncclSuccess;
}
int ncclCommDestroy(ncclComm_t comm) {
  (void)comm;
  return ncclSuccess;
}

int pncclAllReduce(const void* in, void* out, size_t count, int type, int op, ncclComm_t comm,
                   cudaStream_t stream) {
  (void)in, (void)out, (void)count, (void)type, (void)op, (void)comm, (void)stream;
  return ncclSuccess;
}
int ncclAllReduce(const void* in, void* out, size_t count, int type, int op, ncclComm_t comm,
                  cudaStream_t stream) {
  return pncclAllReduce(in, out, count, type, op, comm, stream);
}
int pncclSend(const void* in, size_t count, int type, int peer, ncclComm_t comm,
              cudaStream_t stream) {
  (void)in, (void)count, (void)type, (void)peer, (void)comm, (void)stream;
  return ncclSuccess;
}
int ncclSend(const void* in, size_t count, int type, int peer, ncclComm_t comm,
             cudaStream_t stream) {
  return pncclSend(in, count, type, peer, comm, stream);
}
int pncclRecv(void* out, size_t count, int type, int peer, ncclComm_t comm, cudaStream_t stream) {
  (void)out, (void)count, (void)type, (void)peer, (void)comm, (void)stream;
  return ncclSuccess;
}
int ncclRecv(void* out, size_t count, int type, int peer, ncclComm_t comm, cudaStream_t stream) {
  return pncclRecv(out, count, type, peer, comm, stream);
}
int pncclGroupStart(void) { return ncclSuccess; }
int ncclGroupStart(void) { return pncclGroupStart(); }
int pncclGroupEnd(void) { return ncclSuccess; }
int ncclGroupEnd(void) { return pncclGroupEnd(); }

int cuEventCreate(void** event, unsigned flags) {
  (void)flags;
  *event = &object;
  return 0;
}
int cuEventDestroy_v2(void* event) {
  (void)event;
  return 0;
}
int cuEventRecord(void* event, void* stream) {
  (void)event, (void)stream;
  return 0;
}
int cuEventQuery(void* event) {
  (void)event;
  return 0;
}
int cuStreamIsCapturing(void* stream, int* status) {
  (void)stream;
  *status = 0;
  return 0;
}
int cuStreamGetCtx(void* stream, void** context) {
  (void)stream;
  *context = &object;
  return 0;
}
int cuCtxGetCurrent(void** context) {
  *context = &object;
  return 0;
}
int cuCtxSetCurrent(void* context) {
  (void)context;
  return 0;
}
int cuCtxPushCurrent_v2(void* context) {
  (void)context;
  return 0;
}
int cuCtxPopCurrent_v2(void** context) {
  *context = &object;
  return 0;
}
int cuThreadExchangeStreamCaptureMode(int* mode) {
  (void)mode;
  return 0;
}
