// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/torch/allocator.h"

#include <malloc.h>

namespace lockstep::train {

bool KeepFreedMemory() {
  // glibc takes no larger threshold (HEAP_MAX_SIZE / 2); larger blocks are mapped one by one as
  // before.
  constexpr int kMmapThresholdBytes = 32 << 20;
  constexpr int kTrimThresholdBytes = 2047 << 20;  // in practice never
  constexpr int kTopPadBytes = 64 << 20;
  return mallopt(M_MMAP_THRESHOLD, kMmapThresholdBytes) == 1 &&
         mallopt(M_TRIM_THRESHOLD, kTrimThresholdBytes) == 1 &&
         mallopt(M_TOP_PAD, kTopPadBytes) == 1;
}

}  // namespace lockstep::train
