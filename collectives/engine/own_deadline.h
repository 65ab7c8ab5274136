// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_ENGINE_OWN_DEADLINE_H_
#define LOCKSTEP_COLLECTIVES_ENGINE_OWN_DEADLINE_H_

#include <algorithm>
#include <chrono>

#include "collectives/awake_clock.h"
#include "collectives/engine/op.h"
#include "collectives/engine/op_deadline.h"
#include "collectives/work.h"
#include "runtime/base/clock.h"

namespace lockstep::collectives {

/// The deadline of something that is no op of a queue, such as making a group, or that is more than
/// one; from now. Confined to its maker, as the clock in it is.
struct OwnDeadline {
  explicit OwnDeadline(base::Duration timeout) { Begin(std::min(timeout, kMaxTimeout)); }

  /// Waits for `work`, the first part of what this is the deadline of, and an op of the same
  /// timeout. Blocks: as work.Wait(), which looks at another clock than this one. An op that ends
  /// well more than kSlack beyond its deadline has waited for a member in a long phase, whose time
  /// does not count: what comes after it has the whole time again.
  base::Status Await(Work& work) {
    while (!work.done()) {
      (void)work.WaitFor(kLook);
      (void)deadline.Left();
    }
    const base::Status status = work.status();
    if (status.ok() && deadline.Left() <= -kSlack) Begin(deadline.due().timeout);
    return status;
  }

  base::RealClock clock;
  AwakeClock awake{clock};
  OpDeadline deadline{awake};

 private:
  /// AwakeClock's keepers look this often.
  static constexpr base::Duration kLook = std::chrono::milliseconds(10);
  /// In which every op ends once its deadline has passed.
  static constexpr base::Duration kSlack = std::chrono::seconds(1);

  void Begin(base::Duration timeout) {
    deadline.Set({.at = awake.Now() + timeout, .timeout = timeout});
  }
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_ENGINE_OWN_DEADLINE_H_
