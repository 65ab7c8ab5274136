// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROCESS_DESCRIPTOR_LIMIT_H_
#define LOCKSTEP_RUNTIME_PROCESS_DESCRIPTOR_LIMIT_H_

#include <cstddef>
#include <string>

#include "runtime/base/status.h"

namespace lockstep::process {

/// Whether this process may open `more` descriptors beside those that it has: who knows how many it
/// will need says so at once, and not when a peer of many has been turned away. Any thread; blocks
/// no longer than it takes to list /proc/self/fd, and is OK where that cannot be listed.
/// Errors: ResourceExhausted - "WHAT: N descriptors are needed and M are open", and how to raise
/// the limit.
base::Status CheckDescriptorsLeft(const std::string& what, size_t more);

}  // namespace lockstep::process

#endif  // LOCKSTEP_RUNTIME_PROCESS_DESCRIPTOR_LIMIT_H_
