// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_NCCL_NCCL_STATUS_H_
#define LOCKSTEP_COLLECTIVES_NCCL_NCCL_STATUS_H_

#include <string>

#include "collectives/nccl/gpu_libraries.h"
#include "runtime/base/status.h"

namespace lockstep::collectives {

/// What `result` of `attempt` ("ncclAllReduce in group world") means; OK for kNcclSuccess and
/// kNcclInProgress. `comm` may be null: then it knows no more about what happened. Codes:
///
///   unhandled CUDA error   Internal, class kLocalDevice
///   system error           Unavailable, class kNetwork (sockets, shared memory, the driver)
///   internal error         Internal
///   invalid argument       InvalidArgument, class kUsage
///   invalid usage          FailedPrecondition, class kUsage
///   remote error           Unavailable, class kPeerDead (a member's process or link has gone)
///   timeout                DeadlineExceeded, class kTimeoutUnknown
///
/// All but the invalid argument leave the communicator good for nothing but an abort.
base::Status NcclStatus(const GpuLibraries& libraries, NcclResult result,
                        const std::string& attempt, NcclComm comm);

/// OK for kCudaSuccess; else Internal, class kLocalDevice.
base::Status CudaStatus(const GpuLibraries& libraries, CudaResult result,
                        const std::string& attempt);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_NCCL_NCCL_STATUS_H_
