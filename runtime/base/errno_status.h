// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_BASE_ERRNO_STATUS_H_
#define LOCKSTEP_RUNTIME_BASE_ERRNO_STATUS_H_

#include <source_location>
#include <string_view>

#include "runtime/base/status.h"

namespace lockstep::base {

/// The canonical code for an errno value; kUnknown for one that has no better.
Code CodeFromErrno(int error);

/// "WHAT: No space left on device (ENOSPC)". `what` names the call and its object: "write /tmp/x".
/// When the descriptors are used up (EMFILE, ENFILE), also which limit that is and the command that
/// raises it.
Status ErrnoStatus(int error, std::string_view what,
                   std::source_location origin = std::source_location::current());

}  // namespace lockstep::base

#endif  // LOCKSTEP_RUNTIME_BASE_ERRNO_STATUS_H_
