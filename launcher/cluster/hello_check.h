// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_CLUSTER_HELLO_CHECK_H_
#define LOCKSTEP_LAUNCHER_CLUSTER_HELLO_CHECK_H_

#include "runtime/base/status.h"
#include "runtime/proto/agent.pb.h"

namespace lockstep::launcher {

/// Whether what an agent says of itself is within bounds: its texts are short and printable (they
/// come to a terminal and into log files), its numbers are possible, and it has an address. Whether
/// it fits the job is membership's to say. A pure function, for any thread.
/// Errors: InvalidArgument - which field, without repeating what it holds.
base::Status CheckHello(const proto::Hello& hello);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_CLUSTER_HELLO_CHECK_H_
