// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_READ_BOOTSTRAP_H_
#define LOCKSTEP_LAUNCHER_AGENT_READ_BOOTSTRAP_H_

#include "runtime/base/clock.h"
#include "runtime/base/result.h"
#include "runtime/proto/agent.pb.h"

namespace lockstep::launcher {

/// What `lockstep agent` begins with: one frame (frame.h) from `fd`, its standard input, that holds
/// a Bootstrap (agent.proto). What came together with it is dropped; what is in the fields is for
/// the member agent to judge. Blocks: until it is there, `timeout` at most.
/// Errors: InvalidArgument - the input ended before, or holds no Bootstrap; ResourceExhausted - the
/// frame is over the limit; DeadlineExceeded - it has not come; else errno's code.
base::Result<proto::Bootstrap> ReadBootstrap(int fd, base::Duration timeout,
                                             const base::Clock& clock);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_READ_BOOTSTRAP_H_
