// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_NCCL_NCCL_CALLS_H_
#define LOCKSTEP_COLLECTIVES_NCCL_NCCL_CALLS_H_

#include "collectives/engine/op.h"
#include "collectives/nccl/gpu_libraries.h"

namespace lockstep::collectives {

/// A communicator and what an op on it needs. A value; borrows all of it.
struct NcclEnd {
  const GpuLibraries& libraries;
  NcclComm comm;
  CudaStream stream;
  int rank;
  int size;
  std::byte* scratch;  // of the device: kNcclScratchBytes
};

/// For the barrier, which NCCL lacks: it is a reduction of one byte.
inline constexpr size_t kNcclScratchBytes = 64;

/// What an op has left in its communicator.
struct NcclLeftover {
  bool has_reduction = false;
  NcclReduction reduction = kNcclSum;  // created; destroyed once the op is on its stream
};

/// Puts `op`, whose arguments are valid, on the stream: one NCCL call, or one group of them where
/// NCCL has no such op. Returns what NCCL said; kNcclInProgress: it is not on the stream before
/// ncclCommGetAsyncError says so. Needs what NCCL needs of its callers: the device is current, and
/// no other thread calls on this communicator. Sends and receives: in a communicator of two; a
/// send in one of one goes to its own `out`.
NcclResult EnqueueOp(const NcclEnd& end, const Op& op, NcclLeftover& leftover);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_NCCL_NCCL_CALLS_H_
