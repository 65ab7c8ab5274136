// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_BENCH_ALL_CAPABILITIES_H_
#define LOCKSTEP_LAUNCHER_BENCH_ALL_CAPABILITIES_H_

#include <vector>

#include "collectives/capabilities.h"

namespace lockstep::launcher {

/// Of every backend: shm, tcp, mpi, and nccl with the newest library that we know. Nothing is
/// loaded for it. For any thread.
std::vector<collectives::Capabilities> AllCapabilities();

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_BENCH_ALL_CAPABILITIES_H_
