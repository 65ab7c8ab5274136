// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/nccl/nccl_status.h"

namespace lockstep::collectives {
namespace {

using base::Code;
using base::FailureClass;

struct Meaning {
  Code code;
  FailureClass failure_class;
  const char* advice;
};

Meaning MeaningOf(NcclResult result) {
  switch (result) {
    case kNcclSuccess:
    case kNcclInProgress: break;
    case kNcclUnhandledCudaError:
      return {Code::kInternal, FailureClass::kLocalDevice,
              "see nvidia-smi and the kernel's log for this GPU"};
    case kNcclSystemError:
      return {
          Code::kUnavailable, FailureClass::kNetwork,
          "NCCL_DEBUG=WARN names the call; often the interface (NCCL_SOCKET_IFNAME), or /dev/shm "
          "is full"};
    case kNcclInternalError:
      return {Code::kInternal, FailureClass::kUnspecified,
              "NCCL_DEBUG=WARN says where; a bug in NCCL, or memory that was written over"};
    case kNcclInvalidArgument:
      return {Code::kInvalidArgument, FailureClass::kUsage, "NCCL_DEBUG=WARN names the argument"};
    case kNcclInvalidUsage:
      return {Code::kFailedPrecondition, FailureClass::kUsage,
              "often two ranks on one GPU, or ranks that call different ops"};
    case kNcclRemoteError:
      return {Code::kUnavailable, FailureClass::kPeerDead,
              "a member's process has ended, or the network to it; look for who failed first"};
    case kNcclTimeout:
      return {Code::kDeadlineExceeded, FailureClass::kTimeoutUnknown,
              "a member did not answer in NCCL's own time"};
  }
  return {Code::kInternal, FailureClass::kUnspecified, "a code that this release does not know"};
}

}  // namespace

base::Status NcclStatus(const GpuLibraries& libraries, NcclResult result,
                        const std::string& attempt, NcclComm comm) {
  if (result == kNcclSuccess || result == kNcclInProgress) return base::OkStatus();
  const Meaning meaning = MeaningOf(result);
  std::string text = attempt + ": " + libraries.nccl().get_error_string(result) + " (result " +
                     std::to_string(static_cast<int>(result)) + ")";
  if (comm != nullptr) {
    const char* const last = libraries.nccl().get_last_error(comm);
    if (last != nullptr && *last != '\0') text += ", " + std::string(last);
  }
  return base::Status(meaning.code, text + "; " + meaning.advice).WithClass(meaning.failure_class);
}

base::Status CudaStatus(const GpuLibraries& libraries, CudaResult result,
                        const std::string& attempt) {
  if (result == kCudaSuccess) return base::OkStatus();
  return base::InternalError(attempt + ": " + libraries.cuda().get_error_string(result) +
                             " (CUDA error " + std::to_string(result) + ")")
      .WithClass(base::FailureClass::kLocalDevice);
}

}  // namespace lockstep::collectives
