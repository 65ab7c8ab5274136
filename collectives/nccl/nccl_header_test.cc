// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Our declarations of NCCL against those of a real nccl.h, when they are compiled; where the build
// has found none (bazel/nccl_header_repository.bzl), the test says so.
#include <gtest/gtest.h>

#include <cstddef>
#include <type_traits>

#include "collectives/nccl/nccl_abi.h"
#include "lockstep_nccl_header.h"  // of the repository: includes nccl.h, or says why there is none

#ifdef LOCKSTEP_NCCL_HEADER

namespace lockstep::collectives {
namespace {

/// Whether two types are passed alike.
template <class A, class B>
constexpr bool Alike() {
  if constexpr (std::is_void_v<A> || std::is_void_v<B>) {
    return std::is_void_v<A> && std::is_void_v<B>;
  } else if constexpr (std::is_pointer_v<A> || std::is_pointer_v<B>) {
    return std::is_pointer_v<A> && std::is_pointer_v<B>;
  } else {
    return std::is_class_v<A> == std::is_class_v<B> && sizeof(A) == sizeof(B) &&
           alignof(A) == alignof(B);
  }
}
template <class Theirs, class Ours>
struct SameCall : std::false_type {};
template <class R, class... A, class S, class... B>
  requires(sizeof...(A) == sizeof...(B))
struct SameCall<R (*)(A...), S (*)(B...)>
    : std::bool_constant<Alike<R, S>() && (Alike<A, B>() && ...)> {};

#define LOCKSTEP_SAME_CALL(theirs, ours) \
  static_assert(SameCall<decltype(&::theirs), decltype(NcclFunctions::ours)>::value, #theirs)

LOCKSTEP_SAME_CALL(ncclGetVersion, get_version);
LOCKSTEP_SAME_CALL(ncclGetUniqueId, get_unique_id);
LOCKSTEP_SAME_CALL(ncclCommInitRankConfig, comm_init_rank_config);
LOCKSTEP_SAME_CALL(ncclCommFinalize, comm_finalize);
LOCKSTEP_SAME_CALL(ncclCommDestroy, comm_destroy);
LOCKSTEP_SAME_CALL(ncclCommAbort, comm_abort);
LOCKSTEP_SAME_CALL(ncclCommGetAsyncError, comm_get_async_error);
LOCKSTEP_SAME_CALL(ncclGetErrorString, get_error_string);
LOCKSTEP_SAME_CALL(ncclGetLastError, get_last_error);
LOCKSTEP_SAME_CALL(ncclGroupStart, group_start);
LOCKSTEP_SAME_CALL(ncclGroupEnd, group_end);
LOCKSTEP_SAME_CALL(ncclAllReduce, all_reduce);
LOCKSTEP_SAME_CALL(ncclReduce, reduce);
LOCKSTEP_SAME_CALL(ncclBroadcast, broadcast);
LOCKSTEP_SAME_CALL(ncclAllGather, all_gather);
LOCKSTEP_SAME_CALL(ncclReduceScatter, reduce_scatter);
LOCKSTEP_SAME_CALL(ncclSend, send);
LOCKSTEP_SAME_CALL(ncclRecv, recv);
LOCKSTEP_SAME_CALL(ncclRedOpCreatePreMulSum, red_op_create_pre_mul_sum);
LOCKSTEP_SAME_CALL(ncclRedOpDestroy, red_op_destroy);
#if NCCL_VERSION_CODE >= 21800
LOCKSTEP_SAME_CALL(ncclCommSplit, comm_split);
static_assert(NCCL_SPLIT_NOCOLOR == kNcclSplitNoColor);
#endif
#if NCCL_VERSION_CODE >= 21900
LOCKSTEP_SAME_CALL(ncclCommRegister, comm_register);
LOCKSTEP_SAME_CALL(ncclCommDeregister, comm_deregister);
#endif
#if NCCL_VERSION_CODE >= 22700
LOCKSTEP_SAME_CALL(ncclCommShrink, comm_shrink);
static_assert(NCCL_SHRINK_DEFAULT == kNcclShrinkDefault);
#endif
#if NCCL_VERSION_CODE >= 22800
LOCKSTEP_SAME_CALL(ncclAlltoAll, all_to_all);
LOCKSTEP_SAME_CALL(ncclGather, gather);
LOCKSTEP_SAME_CALL(ncclScatter, scatter);
#endif
#if NCCL_VERSION_CODE >= 22807
LOCKSTEP_SAME_CALL(ncclCommRevoke, comm_revoke);
#endif

static_assert(NcclVersion(NCCL_MAJOR, NCCL_MINOR, NCCL_PATCH) == NCCL_VERSION_CODE);
static_assert(sizeof(ncclUniqueId) == sizeof(NcclUniqueId));
static_assert(sizeof(ncclResult_t) == sizeof(NcclResult) &&
              sizeof(ncclDataType_t) == sizeof(NcclDtype) &&
              sizeof(ncclRedOp_t) == sizeof(NcclReduction));

#define LOCKSTEP_SAME_VALUE(theirs, ours) static_assert(static_cast<int>(::theirs) == ours)
LOCKSTEP_SAME_VALUE(ncclSuccess, kNcclSuccess);
LOCKSTEP_SAME_VALUE(ncclUnhandledCudaError, kNcclUnhandledCudaError);
LOCKSTEP_SAME_VALUE(ncclSystemError, kNcclSystemError);
LOCKSTEP_SAME_VALUE(ncclInternalError, kNcclInternalError);
LOCKSTEP_SAME_VALUE(ncclInvalidArgument, kNcclInvalidArgument);
LOCKSTEP_SAME_VALUE(ncclInvalidUsage, kNcclInvalidUsage);
LOCKSTEP_SAME_VALUE(ncclRemoteError, kNcclRemoteError);
LOCKSTEP_SAME_VALUE(ncclInProgress, kNcclInProgress);
LOCKSTEP_SAME_VALUE(ncclInt8, kNcclInt8);
LOCKSTEP_SAME_VALUE(ncclUint8, kNcclUint8);
LOCKSTEP_SAME_VALUE(ncclInt32, kNcclInt32);
LOCKSTEP_SAME_VALUE(ncclUint32, kNcclUint32);
LOCKSTEP_SAME_VALUE(ncclInt64, kNcclInt64);
LOCKSTEP_SAME_VALUE(ncclUint64, kNcclUint64);
LOCKSTEP_SAME_VALUE(ncclFloat16, kNcclFloat16);
LOCKSTEP_SAME_VALUE(ncclFloat32, kNcclFloat32);
LOCKSTEP_SAME_VALUE(ncclFloat64, kNcclFloat64);
LOCKSTEP_SAME_VALUE(ncclBfloat16, kNcclBfloat16);
#if NCCL_VERSION_CODE >= 22400
LOCKSTEP_SAME_VALUE(ncclFloat8e4m3, kNcclFloat8e4m3);
LOCKSTEP_SAME_VALUE(ncclFloat8e5m2, kNcclFloat8e5m2);
#endif
#if NCCL_VERSION_CODE >= 23000
LOCKSTEP_SAME_VALUE(ncclTimeout, kNcclTimeout);
#endif
LOCKSTEP_SAME_VALUE(ncclSum, kNcclSum);
LOCKSTEP_SAME_VALUE(ncclProd, kNcclProd);
LOCKSTEP_SAME_VALUE(ncclMax, kNcclMax);
LOCKSTEP_SAME_VALUE(ncclMin, kNcclMin);
LOCKSTEP_SAME_VALUE(ncclAvg, kNcclAvg);
LOCKSTEP_SAME_VALUE(ncclScalarHostImmediate, kNcclScalarHostImmediate);

static_assert(NcclConfigBytes(NCCL_VERSION_CODE) == sizeof(ncclConfig_t));
#define LOCKSTEP_SAME_FIELD(theirs, ours)                                       \
  static_assert(offsetof(ncclConfig_t, theirs) == offsetof(NcclConfig, ours) && \
                sizeof(ncclConfig_t::theirs) == sizeof(NcclConfig::ours))
LOCKSTEP_SAME_FIELD(size, size);
LOCKSTEP_SAME_FIELD(magic, magic);
LOCKSTEP_SAME_FIELD(version, version);
LOCKSTEP_SAME_FIELD(blocking, blocking);
#if NCCL_VERSION_CODE >= 21700
LOCKSTEP_SAME_FIELD(cgaClusterSize, cga_cluster_size);
LOCKSTEP_SAME_FIELD(netName, net_name);
#endif
#if NCCL_VERSION_CODE >= 21800
LOCKSTEP_SAME_FIELD(splitShare, split_share);
#endif
#if NCCL_VERSION_CODE >= 22600
LOCKSTEP_SAME_FIELD(trafficClass, traffic_class);
#endif
#if NCCL_VERSION_CODE >= 22700
LOCKSTEP_SAME_FIELD(commName, comm_name);
LOCKSTEP_SAME_FIELD(nvlsCTAs, nvls_ctas);
#endif
#if NCCL_VERSION_CODE >= 22800
LOCKSTEP_SAME_FIELD(nvlinkCentricSched, nvlink_centric_sched);
#endif
#if NCCL_VERSION_CODE >= 22900
LOCKSTEP_SAME_FIELD(numRmaCtx, num_rma_ctx);
#endif
#if NCCL_VERSION_CODE >= 23003
LOCKSTEP_SAME_FIELD(maxP2pPeers, max_p2p_peers);
#endif
#if NCCL_VERSION_CODE >= 23007
LOCKSTEP_SAME_FIELD(graphStreamOrdering, graph_stream_ordering);
#endif

TEST(NcclHeaderTest, AConfigOfOursIsTheHeadersInitializer) {
  const ncclConfig_t theirs = NCCL_CONFIG_INITIALIZER;
  const NcclConfig ours = NcclConfigFor(NCCL_VERSION_CODE);

  EXPECT_EQ(ours.size, theirs.size);
  EXPECT_EQ(ours.magic, theirs.magic);
  EXPECT_EQ(ours.version, theirs.version);
  EXPECT_EQ(ours.blocking, theirs.blocking);
}

}  // namespace
}  // namespace lockstep::collectives

#else

TEST(NcclHeaderTest, AHeaderIsFound) { GTEST_SKIP() << LOCKSTEP_NCCL_HEADER_MISSING; }

#endif
