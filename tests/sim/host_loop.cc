// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/sim/host_loop.h"

#include <algorithm>
#include <utility>

namespace lockstep::sim {
namespace {

using base::Duration;
using base::SteadyTime;
using base::WallTime;

constexpr int64_t kMillion = 1'000'000;
/// In 2027: so that no wall clock of a simulation, however wrong, lies before 1970.
constexpr Duration kWallEpoch{1'800'000'000'000'000'000};

}  // namespace

Duration HostClock::Elapsed(Duration in_world) const {
  return Duration(static_cast<int64_t>(static_cast<__int128>(in_world.count()) *
                                       (kMillion + skew_.drift_ppm) / kMillion));
}

SteadyTime HostClock::Now() const {
  return SteadyTime(Elapsed(world_.Now().time_since_epoch()) + skew_.steady_ahead);
}

WallTime HostClock::WallNow() const {
  return WallTime(Elapsed(world_.Now().time_since_epoch()) + kWallEpoch + skew_.wall_ahead);
}

SteadyTime HostClock::WorldTimeOf(SteadyTime time) const {
  const __int128 elapsed = time.time_since_epoch().count() - skew_.steady_ahead.count();
  if (elapsed <= 0) return SteadyTime{};
  const __int128 in_world = elapsed * kMillion / (kMillion + skew_.drift_ppm);
  if (in_world >= SteadyTime::max().time_since_epoch().count() - 2) return SteadyTime::max();
  Duration world(static_cast<int64_t>(in_world));
  while (Elapsed(world).count() < elapsed) ++world;
  return SteadyTime(world);
}

event::Registration HostLoop::At(SteadyTime due, Callback callback) {
  const uint64_t id = next_id_++;
  Timer& timer = timers_[id];
  timer.callback = std::move(callback);
  timer.in_world = world_.At(clock_.WorldTimeOf(due), [this, id] { OnDue(id); });
  return event::Registration(*this, id);
}

void HostLoop::OnDue(uint64_t id) {
  if (stopped_) {
    if (std::find(late_.begin(), late_.end(), id) == late_.end()) late_.push_back(id);
    return;
  }
  std::erase(late_, id);
  const auto timer = timers_.extract(id);
  timer.mapped().callback();
}

void HostLoop::Continue() {
  stopped_ = false;
  for (const uint64_t id : late_) {
    timers_.at(id).in_world = world_.At(world_.Now(), [this, id] { OnDue(id); });
  }
}

void HostLoop::Cancel(uint64_t id) {
  std::erase(late_, id);
  // Taken out before it is destroyed: what a callback holds may cancel others.
  const auto doomed = timers_.extract(id);
}

}  // namespace lockstep::sim
