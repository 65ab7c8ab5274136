// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "elastic/restart_policy.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace lockstep::elastic {
namespace {

using base::Duration;

/// Up to a fifth of a backoff is taken off at random, so that jobs felled together do not return
/// together.
constexpr double kJitter = 0.2;

bool LaunchMayWorkLater(const base::Status& error) {
  return error.code() == base::Code::kResourceExhausted ||
         error.code() == base::Code::kUnavailable || error.code() == base::Code::kDeadlineExceeded;
}

/// Null: nobody is to blame.
const RankRecord* CulpritOf(const GangState& state) {
  if (!state.culprit.has_value()) return nullptr;
  return &state.ranks[static_cast<size_t>(state.culprit->value())];
}

bool MadeProgress(const GangState& state) { return state.best_step > state.best_step_before; }

bool IsRepeated(const RankRecord& culprit, const GangState& state) {
  return state.config.stop_on_repeated_failure && state.best_step.has_value() &&
         !MadeProgress(state) && culprit.exit.has_value() && !culprit.exit->fingerprint.empty() &&
         culprit.exit == state.last_failure;
}

Duration NextDelay(GangState& state) {
  if (state.fruitless_restarts <= 1) return Duration(0);
  Duration delay = state.config.backoff_first;
  for (int i = 2; i < state.fruitless_restarts && delay < state.config.backoff_max; ++i) delay *= 2;
  delay = std::min(delay, state.config.backoff_max);
  return delay - Duration(static_cast<int64_t>(static_cast<double>(delay.count()) * kJitter *
                                               state.jitter.Unit()));
}

}  // namespace

Decision DecideAfter(const RoundOutcome& outcome, const GangState& state) {
  if (outcome.end == RoundEnd::kSucceeded) return Decision::kSucceeded;
  if (outcome.end == RoundEnd::kStoppedByUser) return Decision::kStoppedByUser;
  if (outcome.end == RoundEnd::kNodeLost) return Decision::kNodeLost;
  const RankRecord* const culprit = CulpritOf(state);
  if (culprit != nullptr && !culprit->exit.has_value() && !LaunchMayWorkLater(culprit->error))
    return Decision::kCannotLaunch;
  if (std::any_of(state.ranks.begin(), state.ranks.end(), [](const RankRecord& rank) {
        return rank.life == RankRecord::Life::kUnkillable;
      })) {
    return Decision::kUnkillable;
  }
  if (state.told_to_end) return Decision::kToldToEnd;
  if (culprit != nullptr && IsRepeated(*culprit, state)) return Decision::kRepeatedFailure;
  if (state.restarts_used >= state.config.max_restarts) return Decision::kOutOfRestarts;
  // Only here did the stop, or the node, end the job: otherwise the failure would have anyway.
  if (state.stop_signal != 0) return Decision::kStoppedByUser;
  return state.lost_node.has_value() ? Decision::kNodeLost : Decision::kRestart;
}

Duration TakeRestart(GangState& state) {
  const RankRecord* const culprit = CulpritOf(state);
  state.last_failure = culprit != nullptr ? culprit->exit : std::nullopt;
  state.fruitless_restarts = MadeProgress(state) ? 1 : state.fruitless_restarts + 1;
  ++state.restarts_used;
  return NextDelay(state);
}

}  // namespace lockstep::elastic
