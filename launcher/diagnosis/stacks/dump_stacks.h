// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_DIAGNOSIS_STACKS_DUMP_STACKS_H_
#define LOCKSTEP_LAUNCHER_DIAGNOSIS_STACKS_DUMP_STACKS_H_

#include <chrono>
#include <cstddef>

#include "runtime/proto/stacks.pb.h"

namespace lockstep::launcher {

struct DumpLimits {
  size_t frames_max = 64;
  /// For all of it. Threads are held for less: their stacks are read first, and what is where in
  /// them is looked up when they are let go.
  std::chrono::milliseconds time{1500};
};

/// Adds frames to `seen`, which is of LookAtThreads(): holds its threads, and lets them go as they
/// were. What does not work is in `problems` and in each thread's `problem`. Blocks: up to
/// `limits.time`, as far as files can be read at once. One thread at a time.
void AddFrames(const DumpLimits& limits, proto::ProcessStacks& seen);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_DIAGNOSIS_STACKS_DUMP_STACKS_H_
