// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_DIAGNOSIS_STACKS_THREAD_LOOKS_H_
#define LOCKSTEP_LAUNCHER_DIAGNOSIS_STACKS_THREAD_LOOKS_H_

#include <sys/types.h>

#include <cstddef>
#include <optional>

#include "runtime/proto/stacks.pb.h"

namespace lockstep::launcher {

/// What /proc tells of the threads of a process, at most `threads_max` of them, without holding or
/// asking anything; no frames. Costs some 50 us a thread. nullopt when it is gone. Any thread.
std::optional<proto::ProcessStacks> LookAtThreads(pid_t pid, size_t threads_max);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_DIAGNOSIS_STACKS_THREAD_LOOKS_H_
