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
  if (!looks_.empty() && now - looks_.back().time < kLooksApart) return;
  looks_.push_back({now, counters});
  while (now - looks_.front().time > kLately) looks_.pop_front();
}

LossMeter::Losses LossMeter::Worst(const process::TcpCounters& now, uint64_t under_way,
                                   uint64_t least) const {
  Losses worst;
  for (const At& from : looks_) {
    if (now.sent < from.counters.sent || now.resent < from.counters.resent) continue;
    const uint64_t sent = now.sent - from.counters.sent;
    const uint64_t resent = now.resent - from.counters.resent;
    const uint64_t lost = resent - std::min(resent, under_way);
    if (lost < least) continue;
    // A greater share, as products: nothing may have been sent.
    const bool is_worse =
        worst.lost == 0 || static_cast<double>(lost) * static_cast<double>(worst.sent) >
                               static_cast<double>(worst.lost) * static_cast<double>(sent);
    if (is_worse) worst = {.sent = sent, .lost = lost};
  }
  return worst;
}

}  // namespace lockstep::launcher
