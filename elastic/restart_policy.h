// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_ELASTIC_RESTART_POLICY_H_
#define LOCKSTEP_ELASTIC_RESTART_POLICY_H_

#include "elastic/gang_state.h"
#include "runtime/base/clock.h"

/// Whether a round is followed by another one, and how soon. Pure functions of the state, for the
/// thread that keeps it.
namespace lockstep::elastic {

/// What becomes of the job after a round that ended so, of which no process is left but unkillable
/// ones. `state` is still that of the round.
Decision DecideAfter(const RoundOutcome& outcome, const GangState& state);

/// Counts the restart that was decided for, and returns how long it waits: the first one after
/// progress comes at once; each further one without progress waits twice as long, up to
/// GangConfig::backoff_max, less up to a fifth at random.
base::Duration TakeRestart(GangState& state);

}  // namespace lockstep::elastic

#endif  // LOCKSTEP_ELASTIC_RESTART_POLICY_H_
