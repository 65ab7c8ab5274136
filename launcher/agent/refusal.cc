// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/refusal.h"

#include "launcher/exit_codes.h"

namespace lockstep::launcher {

base::Status ExplainRefusal(const base::Status& why) {
  if (why.code() != base::Code::kPermissionDenied) return why;
  return base::PermissionDeniedError(
      why.message() +
      "; every node of a job needs the same token file and the same --rdzv-id, and if another job "
      "meets there, this one needs an endpoint of its own (--rdzv-endpoint)");
}

int ExitStatusOfRefusal(const base::Status& why) {
  switch (why.code()) {
    case base::Code::kInvalidArgument:
    case base::Code::kFailedPrecondition:
    case base::Code::kAlreadyExists:
    case base::Code::kPermissionDenied: return static_cast<int>(ExitCode::kUsage);
    default: return static_cast<int>(ExitCode::kUnavailable);
  }
}

}  // namespace lockstep::launcher
