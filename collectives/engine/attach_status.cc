// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/engine/attach_status.h"

#include <cerrno>
#include <string>

namespace lockstep::collectives {
namespace {

base::Code CodeOf(int result, const lockstep_attach_error& error) {
  switch (result) {
    case LOCKSTEP_ATTACH_REJECTED:
      return error.status >= 1 && error.status <= 16 ? static_cast<base::Code>(error.status)
                                                     : base::Code::kUnknown;
    case LOCKSTEP_ATTACH_PROTOCOL: return base::Code::kInvalidArgument;
    case LOCKSTEP_ATTACH_FORKED:
    case LOCKSTEP_ATTACH_USAGE: return base::Code::kFailedPrecondition;
    case LOCKSTEP_ATTACH_SYSTEM:
      if (error.system_error == EMFILE || error.system_error == ENFILE ||
          error.system_error == ENOMEM) {
        return base::Code::kResourceExhausted;
      }
      return base::Code::kUnavailable;
    default: return base::Code::kUnavailable;
  }
}

}  // namespace

base::Status AttachStatus(int result, const lockstep_attach_error& error, const char* doing) {
  return base::Status(CodeOf(result, error), std::string(doing) + ": " + error.text);
}

}  // namespace lockstep::collectives
