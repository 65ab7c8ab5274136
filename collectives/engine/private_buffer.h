// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_ENGINE_PRIVATE_BUFFER_H_
#define LOCKSTEP_COLLECTIVES_ENGINE_PRIVATE_BUFFER_H_

#include <cstddef>
#include <memory>

#include "collectives/group.h"
#include "runtime/base/result.h"

namespace lockstep::collectives {

/// What Group::AllocBuffer gives where members share no memory: this process's own, on huge pages
/// where the kernel has some, so that a large buffer takes few entries of the processor's tables.
/// Callable from any thread. Errors: ResourceExhausted - no memory.
base::Result<std::shared_ptr<SharedBuffer>> MakePrivateBuffer(size_t bytes);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_ENGINE_PRIVATE_BUFFER_H_
