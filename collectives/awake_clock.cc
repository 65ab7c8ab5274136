// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/awake_clock.h"

#include <algorithm>

namespace lockstep::collectives {

AwakeTime AwakeClock::At(base::SteadyTime now) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (now - last_look_ > kPause) paused_ += now - last_look_ - kPause;
  // A thread may come late with what it read, when others have counted a pause since.
  last_look_ = std::max(last_look_, now);
  return AwakeTime(last_look_.time_since_epoch() - paused_);
}

}  // namespace lockstep::collectives
