// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "elastic/clock_offset.h"

#include <algorithm>
#include <limits>

namespace lockstep::elastic {

namespace {

using base::Duration;

/// A foreign clock may say anything: the difference is clamped to what a Duration can say.
Duration Clamped(__int128 nanoseconds) {
  using Limits = std::numeric_limits<Duration::rep>;
  return Duration(
      static_cast<Duration::rep>(std::clamp<__int128>(nanoseconds, Limits::min(), Limits::max())));
}

bool Contradict(const ClockOffset::Estimate& a, const ClockOffset::Estimate& b) {
  const __int128 apart = static_cast<__int128>(a.offset.count()) - b.offset.count();
  const __int128 errors = static_cast<__int128>(a.error.count()) + b.error.count();
  return apart > errors || -apart > errors;
}

}  // namespace

void ClockOffset::Observe(base::WallTime asked_at, base::WallTime answered_at,
                          base::WallTime heard_at) {
  if (heard_at < asked_at) return;
  const __int128 asked = asked_at.time_since_epoch().count();
  const __int128 answered = answered_at.time_since_epoch().count();
  const __int128 heard = heard_at.time_since_epoch().count();
  const Estimate exchange{.offset = Clamped(answered - (asked + heard) / 2),
                          .error = Clamped((heard - asked + 1) / 2),
                          .measured_at = heard_at};
  std::erase_if(last_, [&](const Estimate& older) { return Contradict(older, exchange); });
  last_.push_back(exchange);
  if (last_.size() > kExchanges) last_.pop_front();
}

std::optional<ClockOffset::Estimate> ClockOffset::Get() const {
  if (last_.empty()) return std::nullopt;
  // Of equals the latest: clocks drift.
  return *std::min_element(last_.rbegin(), last_.rend(),
                           [](const Estimate& a, const Estimate& b) { return a.error < b.error; });
}

std::optional<ClockOffset::Estimate> ClockOffset::GetAt(base::WallTime now) const {
  std::optional<Estimate> best;
  for (const Estimate& exchange : last_) {
    const __int128 age = static_cast<__int128>(now.time_since_epoch().count()) -
                         exchange.measured_at.time_since_epoch().count();
    Estimate aged = exchange;
    aged.error = Clamped(aged.error.count() + std::max<__int128>(age, 0) * kDriftPpm / 1'000'000);
    if (!best || aged.error <= best->error) best = aged;
  }
  return best;
}

bool ClockOffset::IsNews(const Estimate& before, const Estimate& now) {
  const __int128 apart = static_cast<__int128>(now.offset.count()) - before.offset.count();
  const __int128 known = std::max(before.error, kNotable).count();
  return apart > known || -apart > known || now.error < before.error / 2;
}

}  // namespace lockstep::elastic
