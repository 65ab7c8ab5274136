// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verbs/verb_context.h"

namespace lockstep::launcher {

bool IsOver(const VerbContext& context, const JobEntry& job) {
  return job.condition != JobCondition::kLive &&
         CheckLiveness(context.here, job.state.agent()) != Liveness::kAlive;
}

ExitCode ExitCodeOf(const base::Status& outcome) {
  using base::Code;
  switch (outcome.code()) {
    case Code::kOk: return ExitCode::kOk;
    case Code::kInvalidArgument:
    case Code::kOutOfRange:
    case Code::kUnimplemented: return ExitCode::kUsage;
    case Code::kNotFound: return ExitCode::kNoSuchJob;
    case Code::kResourceExhausted: return ExitCode::kNoResources;
    case Code::kPermissionDenied:
    case Code::kUnauthenticated: return ExitCode::kCannotWrite;
    case Code::kUnknown:
    case Code::kInternal:
    case Code::kDataLoss: return ExitCode::kInternal;
    case Code::kCancelled:
    case Code::kDeadlineExceeded:
    case Code::kAlreadyExists:
    case Code::kFailedPrecondition:
    case Code::kAborted:
    case Code::kUnavailable: return ExitCode::kUnavailable;
  }
  return ExitCode::kInternal;
}

base::Status CannotWrite(const base::Status& why) {
  return base::PermissionDeniedError(why.message());
}

}  // namespace lockstep::launcher
