// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/diagnosis/loss_meter.h"

#include <algorithm>

namespace lockstep::launcher {

void LossMeter::Look(base::SteadyTime now, const process::TcpCounters& counters) {
  if (!looks_.empty()) {
    // Counters that went back are those of another namespace.
    const process::TcpCounters& last = looks_.back().counters;
    if (counters.sent < last.sent || counters.resent < last.resent) looks_.clear();
  }
  if (!IsDue(now)) return;
  looks_.push_back({now, counters});
  while (now - looks_.front().time > kLately) looks_.pop_front();
}

LossMeter::Losses LossMeter::Worst(const process::TcpCounters& counters, uint64_t in_vain,
                                   uint64_t least) const {
  Losses worst;
  if (looks_.empty()) return worst;
  const base::SteadyTime now = looks_.back().time;
  for (const At& from : looks_) {
    const process::TcpCounters& then = from.counters;
    if (now - from.time < kLeastTime || counters.sent < then.sent + kLeastSent ||
        counters.resent < then.resent)
      continue;
    const uint64_t sent = counters.sent - then.sent;
    const uint64_t resent = counters.resent - then.resent;
    const uint64_t lost = resent - std::min(resent, in_vain);
    if (lost < least) continue;
    const auto share = [](uint64_t of_these, uint64_t all) {
      return static_cast<double>(of_these) / static_cast<double>(all);
    };
    if (worst.lost == 0 || share(lost, sent) > share(worst.lost, worst.sent))
      worst = {.sent = sent, .lost = lost};
  }
  return worst;
}

}  // namespace lockstep::launcher
