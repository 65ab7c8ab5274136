// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_ENGINE_OWN_DEADLINE_H_
#define LOCKSTEP_COLLECTIVES_ENGINE_OWN_DEADLINE_H_

#include <algorithm>

#include "collectives/awake_clock.h"
#include "collectives/engine/op.h"
#include "collectives/engine/op_deadline.h"
#include "runtime/base/clock.h"

namespace lockstep::collectives {

/// The deadline of something that is no op of a queue, such as making a group; from now. Confined
/// to its maker, as the clock in it is.
struct OwnDeadline {
  explicit OwnDeadline(base::Duration timeout) {
    timeout = std::min(timeout, kMaxTimeout);
    deadline.Set({.at = awake.Now() + timeout, .timeout = timeout});
  }

  base::RealClock clock;
  AwakeClock awake{clock};
  OpDeadline deadline{awake};
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_ENGINE_OWN_DEADLINE_H_
