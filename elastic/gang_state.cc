// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "elastic/gang_state.h"

#include "runtime/base/check.h"

namespace lockstep::elastic {

bool RankRecord::failed() const {
  if (!ended_before_signal) return false;
  return life == Life::kNeverLived || lost || (exit.has_value() && !exit->ok());
}

std::string_view PhaseName(Phase phase) {
  switch (phase) {
    case Phase::kIdle: return "idle";
    case Phase::kStarting: return "starting";
    case Phase::kRunning: return "running";
    case Phase::kSettling: return "settling";
    case Phase::kTerminating: return "terminating";
    case Phase::kKilling: return "killing";
    case Phase::kBackingOff: return "backing off";
    case Phase::kDone: return "done";
  }
  return "?";
}

std::string_view DecisionName(Decision decision) {
  switch (decision) {
    case Decision::kRestart: return "restart";
    case Decision::kSucceeded: return "succeeded";
    case Decision::kStoppedByUser: return "stopped by user";
    case Decision::kOutOfRestarts: return "out of restarts";
    case Decision::kRepeatedFailure: return "repeated failure";
    case Decision::kCannotLaunch: return "cannot launch";
    case Decision::kUnkillable: return "unkillable processes";
    case Decision::kNodeLost: return "node lost";
    case Decision::kToldToEnd: return "told to end";
    case Decision::kGoOn: return "survivors go on";
  }
  return "?";
}

GangState::GangState(const GangConfig& gang_config)
    : config(gang_config), jitter(gang_config.seed), restarts_used(gang_config.restarts_used) {
  LOCKSTEP_CHECK(config.rank_count >= 1, "a gang has at least one rank");
}

}  // namespace lockstep::elastic
