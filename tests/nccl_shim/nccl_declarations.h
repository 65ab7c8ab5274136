// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_TESTS_NCCL_SHIM_NCCL_DECLARATIONS_H_
#define LOCKSTEP_TESTS_NCCL_SHIM_NCCL_DECLARATIONS_H_
/* Of nccl.h and cuda_runtime.h, what the ranks of the test use: there is neither on a machine
 * without a GPU. */

#include <limits.h>
#include <stddef.h>

typedef struct ncclComm* ncclComm_t;
typedef void* cudaStream_t;
typedef struct {
  char internal[128];
} ncclUniqueId;
enum { ncclSuccess = 0, ncclInProgress = 7 };
enum { ncclInt32 = 2, ncclFloat32 = 7 };
enum { ncclSum = 0, ncclMax = 2 };

/* As of 2.30.7. */
typedef struct {
  size_t size;
  unsigned magic, version;
  int blocking, cga_cluster_size, min_ctas, max_ctas;
  const char* net_name;
  int split_share, traffic_class;
  const char* comm_name;
  int rest[10];
} ncclConfig_t;

int ncclGetUniqueId(ncclUniqueId* id);
int ncclCommInitRank(ncclComm_t* comm, int size, ncclUniqueId id, int rank);
int ncclCommInitRankConfig(ncclComm_t* comm, int size, ncclUniqueId id, int rank,
                           ncclConfig_t* config);
int ncclCommInitRankScalable(ncclComm_t* comm, int size, int rank, int id_count, ncclUniqueId* ids,
                             ncclConfig_t* config);
int ncclCommGetAsyncError(ncclComm_t comm, int* state);
int ncclCommFinalize(ncclComm_t comm);
int ncclCommDestroy(ncclComm_t comm);
int ncclCommAbort(ncclComm_t comm);
int ncclCommSplit(ncclComm_t comm, int color, int key, ncclComm_t* made, ncclConfig_t* config);
int ncclCommShrink(ncclComm_t comm, int* excluded, int count, ncclComm_t* made,
                   ncclConfig_t* config, int flags);
int ncclGroupStart(void);
int ncclGroupEnd(void);
int ncclAllReduce(const void* in, void* out, size_t count, int type, int op, ncclComm_t comm,
                  cudaStream_t stream);
int ncclReduce(const void* in, void* out, size_t count, int type, int op, int root, ncclComm_t comm,
               cudaStream_t stream);
int ncclReduceScatter(const void* in, void* out, size_t count, int type, int op, ncclComm_t comm,
                      cudaStream_t stream);
int ncclBroadcast(const void* in, void* out, size_t count, int type, int root, ncclComm_t comm,
                  cudaStream_t stream);
int ncclBcast(void* data, size_t count, int type, int root, ncclComm_t comm, cudaStream_t stream);
int ncclAllGather(const void* in, void* out, size_t count, int type, ncclComm_t comm,
                  cudaStream_t stream);
int ncclAlltoAll(const void* in, void* out, size_t count, int type, ncclComm_t comm,
                 cudaStream_t stream);
int ncclGather(const void* in, void* out, size_t count, int type, int root, ncclComm_t comm,
               cudaStream_t stream);
int ncclScatter(const void* in, void* out, size_t count, int type, int root, ncclComm_t comm,
                cudaStream_t stream);
int ncclSend(const void* in, size_t count, int type, int peer, ncclComm_t comm,
             cudaStream_t stream);
int ncclRecv(void* out, size_t count, int type, int peer, ncclComm_t comm, cudaStream_t stream);

/* NCCL's second names, which nobody wraps. */
int pncclAllReduce(const void* in, void* out, size_t count, int type, int op, ncclComm_t comm,
                   cudaStream_t stream);
int pncclSend(const void* in, size_t count, int type, int peer, ncclComm_t comm,
              cudaStream_t stream);
int pncclRecv(void* out, size_t count, int type, int peer, ncclComm_t comm, cudaStream_t stream);
int pncclGroupStart(void);
int pncclGroupEnd(void);

/* Of cuda.h, by the names that the library shows. */
int cuEventCreate(void** event, unsigned flags);
int cuEventDestroy_v2(void* event);
int cuEventRecord(void* event, void* stream);
int cuEventQuery(void* event);
int cuStreamIsCapturing(void* stream, int* status);
int cuStreamGetCtx(void* stream, void** context);
int cuCtxGetCurrent(void** context);
int cuCtxSetCurrent(void* context);
int cuCtxPushCurrent_v2(void* context);
int cuCtxPopCurrent_v2(void** context);
int cuThreadExchangeStreamCaptureMode(int* mode);

int cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags);
int cudaStreamSynchronize(cudaStream_t stream);
int cudaStreamDestroy(cudaStream_t stream);
int cudaStreamBeginCapture(cudaStream_t stream, int mode);
int cudaStreamEndCapture(cudaStream_t stream, void** graph);

#endif /* LOCKSTEP_TESTS_NCCL_SHIM_NCCL_DECLARATIONS_H_ */
