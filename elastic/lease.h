// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_ELASTIC_LEASE_H_
#define LOCKSTEP_ELASTIC_LEASE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <variant>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/status.h"

/// An agent's right to run ranks, lent by the coordinator: the agent's side of membership.h, pure
/// as that is.
///
///   kUnleased --Granted--> kHeld --lease ran out, connection ended--> kFenced (for good)
///
/// Each heartbeat that the coordinator has acknowledged extends the lease to when it was *sent*
/// plus LeaseConfig::lease. kFenced means: end every rank at once, nobody will tell us to; nothing
/// that is acknowledged later changes it.
///
/// An acknowledgement that was waiting while this process did not run still counts, if the lease
/// that it proves is not over: the coordinator has held to it all the time.
namespace lockstep::elastic {

struct LeaseConfig {
  base::Duration heartbeat = std::chrono::milliseconds(250);  // less than kHeartbeatMin: that
  base::Duration lease = std::chrono::seconds(2);
};
/// Whatever a coordinator says, an agent sends no more than a thousand heartbeats a second.
inline constexpr base::Duration kHeartbeatMin = std::chrono::milliseconds(1);

/// The coordinator has admitted us, in answer to what we sent at `asked_at`.
struct LeaseGranted {
  LeaseConfig config;
  base::SteadyTime asked_at;
};
struct HeartbeatAcked {
  uint64_t number = 0;
};
/// The connection is gone. Before Granted it changes nothing.
struct CoordinatorGone {
  base::Status why;
};
/// Ignored when the generation is not that of the timer last set.
struct LeaseTimerFired {
  uint64_t generation = 0;
};

struct LeaseEvent {
  base::SteadyTime at;  // never before the event handed in last
  std::variant<LeaseGranted, HeartbeatAcked, CoordinatorGone, LeaseTimerFired> what;
};

struct SendHeartbeat {
  uint64_t number = 0;
};
/// End every rank at once. Comes at most once.
struct Fence {
  base::Status why;
};
/// Replaces the timer.
struct SetLeaseTimer {
  uint64_t generation = 0;
  base::SteadyTime due;
};

using LeaseAction = std::variant<SendHeartbeat, Fence, SetLeaseTimer>;

enum class LeasePhase : uint8_t { kUnleased, kHeld, kFenced };

struct LeaseState {
  LeasePhase phase = LeasePhase::kUnleased;
  LeaseConfig config;
  base::SteadyTime held_until{};
  uint64_t next_heartbeat = 0;
  base::SteadyTime heartbeat_due{};
  /// Sent after the last one that was acknowledged; numbers ascend without a gap. As long as the
  /// lease is held no more of them than fit into it.
  struct Unacknowledged {
    uint64_t number = 0;
    base::SteadyTime sent_at;
  };
  static constexpr size_t kUnacknowledgedMax = 256;  // then the oldest is forgotten
  std::deque<Unacknowledged> unacknowledged;
  uint64_t timer_generation = 0;

  /// Whether ranks may run, or start, at that time.
  bool HeldAt(base::SteadyTime now) const { return phase == LeasePhase::kHeld && now < held_until; }
};

struct LeaseStep {
  LeaseState state;
  std::vector<LeaseAction> actions;
};

/// One step. Every event is legal in every state.
LeaseStep Step(LeaseState state, const LeaseEvent& event);

}  // namespace lockstep::elastic

#endif  // LOCKSTEP_ELASTIC_LEASE_H_
