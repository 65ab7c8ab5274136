// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_PLACEMENT_BOOTSTRAP_FRAME_H_
#define LOCKSTEP_LAUNCHER_PLACEMENT_BOOTSTRAP_FRAME_H_

#include <string>

#include "runtime/proto/agent.pb.h"

namespace lockstep::launcher {

/// What an agent reads from its standard input: the bootstrap as one frame. The one copy of its key
/// that this makes; whoever has sent it wipes it. Pure, for any thread.
std::string BootstrapFrame(const proto::Bootstrap& bootstrap);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_PLACEMENT_BOOTSTRAP_FRAME_H_
