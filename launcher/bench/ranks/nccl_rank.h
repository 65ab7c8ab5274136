// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_BENCH_RANKS_NCCL_RANK_H_
#define LOCKSTEP_LAUNCHER_BENCH_RANKS_NCCL_RANK_H_

#include "runtime/base/status.h"

namespace lockstep::launcher {

/// A rank of Lockstep's gang over NCCL: serves `lockstep bench` at `socket_path` with the world
/// group of a session of backend nccl, on buffers of its GPU. Blocks until that is over. Errors:
/// those of rank::Session, which name the library or the GPU that is missing; Aborted - `lockstep
/// bench` is gone.
base::Status ServeAsNcclRank(const char* socket_path, int gang);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_BENCH_RANKS_NCCL_RANK_H_
