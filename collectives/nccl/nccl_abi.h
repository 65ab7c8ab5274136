// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_NCCL_NCCL_ABI_H_
#define LOCKSTEP_COLLECTIVES_NCCL_NCCL_ABI_H_

/// What Lockstep uses of the C interfaces of NCCL 2.14 .. 2.30 and of the CUDA runtime 11 .. 13, in
/// its own words: both are found at run time, so that one binary serves machines with and without a
/// GPU. nccl_header_test compares it with the real headers where it finds them.

#include <climits>
#include <cstddef>

namespace lockstep::collectives {

// ------------------------------------------------------------------------------------ CUDA runtime

using CudaResult = int;  // an enum of the library
inline constexpr CudaResult kCudaSuccess = 0;
inline constexpr CudaResult kCudaNotReady = 600;
inline constexpr unsigned kCudaStreamNonBlocking = 1;
inline constexpr unsigned kCudaEventDisableTiming = 2;
inline constexpr unsigned kCudaMemAttachGlobal = 1;
inline constexpr int kCudaMemcpyDefault = 4;

struct CudaStreamTag;
struct CudaEventTag;
using CudaStream = CudaStreamTag*;
using CudaEvent = CudaEventTag*;

/// Null where the library has no such symbol.
struct CudaFunctions {
  CudaResult (*get_device_count)(int*) = nullptr;
  CudaResult (*get_device)(int*) = nullptr;
  CudaResult (*set_device)(int) = nullptr;
  CudaResult (*stream_create_with_flags)(CudaStream*, unsigned) = nullptr;
  CudaResult (*stream_destroy)(CudaStream) = nullptr;
  CudaResult (*stream_wait_event)(CudaStream, CudaEvent, unsigned) = nullptr;
  CudaResult (*event_create_with_flags)(CudaEvent*, unsigned) = nullptr;
  CudaResult (*event_destroy)(CudaEvent) = nullptr;
  CudaResult (*event_record)(CudaEvent, CudaStream) = nullptr;
  CudaResult (*event_query)(CudaEvent) = nullptr;
  CudaResult (*malloc_managed)(void**, size_t, unsigned) = nullptr;
  CudaResult (*malloc)(void**, size_t) = nullptr;
  CudaResult (*free)(void*) = nullptr;
  CudaResult (*memcpy)(void*, const void*, size_t, int) = nullptr;
  CudaResult (*memcpy_async)(void*, const void*, size_t, int, CudaStream) = nullptr;
  const char* (*get_error_string)(CudaResult) = nullptr;
};

// -------------------------------------------------------------------------------------------- NCCL

enum NcclResult : int {
  kNcclSuccess = 0,
  kNcclUnhandledCudaError = 1,
  kNcclSystemError = 2,
  kNcclInternalError = 3,
  kNcclInvalidArgument = 4,
  kNcclInvalidUsage = 5,
  kNcclRemoteError = 6,
  kNcclInProgress = 7,
  kNcclTimeout = 8,  // since 2.30
};

enum NcclDtype : int {
  kNcclInt8 = 0,
  kNcclUint8 = 1,
  kNcclInt32 = 2,
  kNcclUint32 = 3,
  kNcclInt64 = 4,
  kNcclUint64 = 5,
  kNcclFloat16 = 6,
  kNcclFloat32 = 7,
  kNcclFloat64 = 8,
  kNcclBfloat16 = 9,
  kNcclFloat8e4m3 = 10,  // since 2.24
  kNcclFloat8e5m2 = 11,
};

/// Created ones (ncclRedOpCreatePreMulSum) follow. Mind that max comes before min.
enum NcclReduction : int { kNcclSum = 0, kNcclProd = 1, kNcclMax = 2, kNcclMin = 3, kNcclAvg = 4 };

inline constexpr int kNcclScalarHostImmediate = 1;
inline constexpr int kNcclSplitNoColor = -1;
inline constexpr int kNcclShrinkDefault = 0;

struct NcclCommTag;
using NcclComm = NcclCommTag*;

struct NcclUniqueId {
  char bytes[128];
};

/// The code of a version: 2.28.9 is 22809. (Other arithmetic up to 2.8, which we do not load.)
constexpr int NcclVersion(int major, int minor, int patch) {
  return major * 10000 + minor * 100 + patch;
}
inline constexpr int kNcclOldest = NcclVersion(2, 14, 0);
inline constexpr int kNcclFloat8Since = NcclVersion(2, 24, 0);  // its reductions
/// The newest whose declarations are known here; what is newer keeps them, by NCCL's promise.
inline constexpr int kNcclNewest = NcclVersion(2, 30, 7);

/// ncclConfig_t as of 2.30.7. A library reads `size` bytes of it, and takes fields for unset that
/// are younger than `version`: so a prefix of it is right for each version (NcclConfigFor).
struct NcclConfig {
  static constexpr int kUnset = INT_MIN;

  size_t size = 0;
  unsigned magic = 0xcafebeef;
  unsigned version = 0;
  int blocking = kUnset;
  int cga_cluster_size = kUnset;  // 2.17
  int min_ctas = kUnset;
  int max_ctas = kUnset;
  const char* net_name = nullptr;
  int split_share = kUnset;         // 2.18
  int traffic_class = kUnset;       // 2.26
  const char* comm_name = nullptr;  // 2.27
  int collnet_enable = kUnset;
  int cta_policy = kUnset;
  int shrink_share = kUnset;
  int nvls_ctas = kUnset;
  int channels_per_net_peer = kUnset;  // 2.28
  int nvlink_centric_sched = kUnset;
  int graph_usage_mode = kUnset;  // 2.29
  int num_rma_ctx = kUnset;
  int max_p2p_peers = kUnset;          // 2.30.3
  int graph_stream_ordering = kUnset;  // 2.30.7
};

/// sizeof(ncclConfig_t) in the header of `version`.
constexpr size_t NcclConfigBytes(int version) {
  struct Prefix {
    int since;
    size_t bytes;  // of all fields up to then
  };
  constexpr Prefix kPrefixes[] = {
      {NcclVersion(2, 30, 7), sizeof(NcclConfig)},
      {NcclVersion(2, 30, 3), offsetof(NcclConfig, graph_stream_ordering)},
      {NcclVersion(2, 29, 0), offsetof(NcclConfig, max_p2p_peers)},
      {NcclVersion(2, 28, 0), offsetof(NcclConfig, graph_usage_mode)},
      {NcclVersion(2, 27, 0), offsetof(NcclConfig, channels_per_net_peer)},
      {NcclVersion(2, 26, 0), offsetof(NcclConfig, comm_name)},
      {NcclVersion(2, 18, 0), offsetof(NcclConfig, traffic_class)},
      {NcclVersion(2, 17, 0), offsetof(NcclConfig, split_share)},
  };
  size_t bytes = offsetof(NcclConfig, cga_cluster_size);
  for (const Prefix& prefix : kPrefixes) {
    if (version < prefix.since) continue;
    bytes = prefix.bytes;
    break;
  }
  return (bytes + alignof(NcclConfig) - 1) / alignof(NcclConfig) * alignof(NcclConfig);
}

/// All unset, stamped so that a library of `version` takes it for its own.
constexpr NcclConfig NcclConfigFor(int version) {
  const int known = version < kNcclNewest ? version : kNcclNewest;
  NcclConfig config;
  config.size = NcclConfigBytes(known);
  config.version = static_cast<unsigned>(known);
  return config;
}

/// Null where the library has no such symbol.
struct NcclFunctions {
  NcclResult (*get_version)(int*) = nullptr;
  NcclResult (*get_unique_id)(NcclUniqueId*) = nullptr;
  NcclResult (*comm_init_rank_config)(NcclComm*, int, NcclUniqueId, int, NcclConfig*) = nullptr;
  NcclResult (*comm_finalize)(NcclComm) = nullptr;
  NcclResult (*comm_destroy)(NcclComm) = nullptr;
  NcclResult (*comm_abort)(NcclComm) = nullptr;
  NcclResult (*comm_get_async_error)(NcclComm, NcclResult*) = nullptr;
  const char* (*get_error_string)(NcclResult) = nullptr;
  const char* (*get_last_error)(NcclComm) = nullptr;
  NcclResult (*group_start)() = nullptr;
  NcclResult (*group_end)() = nullptr;
  NcclResult (*all_reduce)(const void*, void*, size_t, NcclDtype, NcclReduction, NcclComm,
                           CudaStream) = nullptr;
  NcclResult (*reduce)(const void*, void*, size_t, NcclDtype, NcclReduction, int, NcclComm,
                       CudaStream) = nullptr;
  NcclResult (*broadcast)(const void*, void*, size_t, NcclDtype, int, NcclComm,
                          CudaStream) = nullptr;
  NcclResult (*all_gather)(const void*, void*, size_t, NcclDtype, NcclComm, CudaStream) = nullptr;
  NcclResult (*reduce_scatter)(const void*, void*, size_t, NcclDtype, NcclReduction, NcclComm,
                               CudaStream) = nullptr;
  NcclResult (*send)(const void*, size_t, NcclDtype, int, NcclComm, CudaStream) = nullptr;
  NcclResult (*recv)(void*, size_t, NcclDtype, int, NcclComm, CudaStream) = nullptr;
  NcclResult (*red_op_create_pre_mul_sum)(NcclReduction*, void*, NcclDtype, int,
                                          NcclComm) = nullptr;
  NcclResult (*red_op_destroy)(NcclReduction, NcclComm) = nullptr;
  // What a library may lack:
  NcclResult (*comm_split)(NcclComm, int, int, NcclComm*, NcclConfig*) = nullptr;  // 2.18
  NcclResult (*comm_register)(NcclComm, void*, size_t, void** handle) = nullptr;   // 2.19
  NcclResult (*comm_deregister)(NcclComm, void* handle) = nullptr;
  NcclResult (*comm_shrink)(NcclComm, int*, int, NcclComm*, NcclConfig*, int) = nullptr;  // 2.27
  NcclResult (*comm_revoke)(NcclComm, int) = nullptr;                                     // 2.28.7
  NcclResult (*all_to_all)(const void*, void*, size_t, NcclDtype, NcclComm,
                           CudaStream) = nullptr;  // 2.28
  NcclResult (*gather)(const void*, void*, size_t, NcclDtype, int, NcclComm, CudaStream) = nullptr;
  NcclResult (*scatter)(const void*, void*, size_t, NcclDtype, int, NcclComm, CudaStream) = nullptr;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_NCCL_NCCL_ABI_H_
