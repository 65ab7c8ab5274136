// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "elastic/lease.h"

#include <algorithm>
#include <utility>

namespace lockstep::elastic {

namespace {

using base::Duration;
using base::SteadyTime;

/// For ever when the sum is beyond what can be said.
SteadyTime After(SteadyTime at, Duration delay) {
  return delay < SteadyTime::max() - at ? at + delay : SteadyTime::max();
}

/// One step in the making.
class Stepper {
 public:
  Stepper(LeaseState state, SteadyTime at) : state_(std::move(state)), at_(at) {}

  LeaseStep Finish() && { return {std::move(state_), std::move(actions_)}; }

  void On(const LeaseGranted& event) {
    if (state_.phase != LeasePhase::kUnleased) return;
    state_.phase = LeasePhase::kHeld;
    state_.config = event.config;
    state_.config.heartbeat = std::max(event.config.heartbeat, kHeartbeatMin);
    state_.config.lease = std::max(event.config.lease, Duration(0));
    state_.held_until = After(event.asked_at, state_.config.lease);
    state_.heartbeat_due = at_;
    GoOn();
  }

  void On(const HeartbeatAcked& event) {
    if (state_.phase != LeasePhase::kHeld) return;
    auto& waiting = state_.unacknowledged;
    if (waiting.empty() || event.number < waiting.front().number ||
        event.number > waiting.back().number)
      return;
    const size_t index = static_cast<size_t>(event.number - waiting.front().number);
    const SteadyTime proved_until = After(waiting[index].sent_at, state_.config.lease);
    waiting.erase(waiting.begin(), waiting.begin() + static_cast<ptrdiff_t>(index) + 1);
    state_.held_until = std::max(state_.held_until, proved_until);
    // No timer: the one that is set is due at the next heartbeat, or before.
    if (at_ >= state_.held_until) FenceForSilence();
  }

  void On(const CoordinatorGone& event) {
    if (state_.phase != LeasePhase::kHeld) return;
    FenceFor(base::UnavailableError("the connection to the coordinator ended" +
                                    (event.why.ok() ? "" : ": " + event.why.message())));
  }

  void On(const LeaseTimerFired& event) {
    if (state_.phase != LeasePhase::kHeld || event.generation != state_.timer_generation) return;
    GoOn();
  }

 private:
  template <class T>
  void Do(T action) {
    actions_.push_back(std::move(action));
  }

  /// What is due now, and the timer for what is due next.
  void GoOn() {
    if (at_ >= state_.held_until) return FenceForSilence();
    if (at_ >= state_.heartbeat_due) Beat();
    Do(SetLeaseTimer{++state_.timer_generation, std::min(state_.heartbeat_due, state_.held_until)});
  }

  void Beat() {
    auto& waiting = state_.unacknowledged;
    if (waiting.size() >= LeaseState::kUnacknowledgedMax) waiting.pop_front();
    waiting.push_back({state_.next_heartbeat, at_});
    Do(SendHeartbeat{state_.next_heartbeat++});
    state_.heartbeat_due = After(at_, state_.config.heartbeat);
  }

  void FenceForSilence() {
    FenceFor(base::DeadlineExceededError(
        "nothing was heard from the coordinator for " +
        base::FormatDuration(at_ - state_.held_until + state_.config.lease) +
        ": this node's lease of " + base::FormatDuration(state_.config.lease) + " is over"));
  }

  void FenceFor(base::Status why) {
    state_.phase = LeasePhase::kFenced;
    state_.unacknowledged.clear();
    Do(Fence{std::move(why)});
  }

  LeaseState state_;
  SteadyTime at_;
  std::vector<LeaseAction> actions_;
};

}  // namespace

LeaseStep Step(LeaseState state, const LeaseEvent& event) {
  Stepper stepper(std::move(state), event.at);
  std::visit([&stepper](const auto& what) { stepper.On(what); }, event.what);
  return std::move(stepper).Finish();
}

}  // namespace lockstep::elastic
