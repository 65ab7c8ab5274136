// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_TOPOLOGY_CPU_COUNT_H_
#define LOCKSTEP_RUNTIME_TOPOLOGY_CPU_COUNT_H_

namespace lockstep::topology {

/// Cores that the calling thread may run on (its affinity mask, so cpusets and taskset count); at
/// least 1. Any thread.
int CpuCount();

}  // namespace lockstep::topology

#endif  // LOCKSTEP_RUNTIME_TOPOLOGY_CPU_COUNT_H_
