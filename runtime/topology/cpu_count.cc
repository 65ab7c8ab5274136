// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/topology/cpu_count.h"

#include <sched.h>

namespace lockstep::topology {

int CpuCount() {
  // The kernel refuses a mask smaller than its own number of possible cores.
  for (int possible = CPU_SETSIZE; possible <= (1 << 20); possible *= 2) {
    cpu_set_t* mask = CPU_ALLOC(static_cast<size_t>(possible));
    const size_t bytes = CPU_ALLOC_SIZE(static_cast<size_t>(possible));
    const bool known = ::sched_getaffinity(0, bytes, mask) == 0;
    const int count = known ? CPU_COUNT_S(bytes, mask) : 0;
    CPU_FREE(mask);
    if (known) return count > 0 ? count : 1;
  }
  return 1;
}

}  // namespace lockstep::topology
