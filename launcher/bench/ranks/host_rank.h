// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_BENCH_RANKS_HOST_RANK_H_
#define LOCKSTEP_LAUNCHER_BENCH_RANKS_HOST_RANK_H_

#include <string>

#include "collectives/group.h"
#include "runtime/base/status.h"

namespace lockstep::launcher {

/// A rank of Lockstep's own gang: serves `lockstep bench` at `socket_path` with the world group of
/// its session. Blocks until that is over. Errors: those of rank::Session; Aborted - `lockstep
/// bench` is gone.
base::Status ServeAsHostRank(const char* socket_path, int gang);

/// The same with `group`; `name` says what is measured, for people.
base::Status ServeGroup(collectives::Group& group, const std::string& name, const char* socket_path,
                        int gang);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_BENCH_RANKS_HOST_RANK_H_
