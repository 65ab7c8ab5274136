// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_ENGINE_MAKE_IN_ROUND_H_
#define LOCKSTEP_COLLECTIVES_ENGINE_MAKE_IN_ROUND_H_

#include <memory>
#include <string>
#include <vector>

#include "collectives/engine/backend.h"
#include "collectives/engine/rounds.h"
#include "runtime/base/clock.h"
#include "runtime/base/result.h"

/// How the members of a group come together in a job whose rounds follow each other while its
/// processes live. Functions without state, for any thread.
namespace lockstep::collectives {

/// That ranks are members of the job no more, as an error of what was `doing`: Unavailable (class
/// kPeerDead), with the ranks as its subjects.
base::Status GoneError(const std::string& doing, const std::string& job,
                       const std::vector<Rounds::Gone>& gone);

/// This member's end of the group `spec`, made in the round in force; `spec.epoch` becomes that.
/// When a round begins before all have come, it is tried again in that one, as the others do. Null
/// `rounds`: spec.epoch is the only one. Blocks: at most `deadline`. Errors: Unavailable (class
/// kPeerDead) - a member is gone; those of BackendMaker::Make.
base::Result<std::unique_ptr<Backend>> MakeInRound(GroupSpec& spec, BackendMaker& maker,
                                                   Rounds* rounds, const OpDeadline& deadline);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_ENGINE_MAKE_IN_ROUND_H_
