// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_METRICS_TEXT_H_
#define LOCKSTEP_LAUNCHER_AGENT_METRICS_TEXT_H_

#include <string>

#include "runtime/proto/control.pb.h"

namespace lockstep::launcher {

/// Ranks of which each has series of its own; of a larger job it is the first ones.
inline constexpr int kRanksMeasured = 1024;

/// A job's status as Prometheus reads it: text exposition format 0.0.4, all series with the label
/// `job`. What is not known has no series. Of a status that was asked for with `live`, also where
/// the groups and ranks stand. Pure; any thread.
std::string MetricsText(const proto::StatusReply& status);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_METRICS_TEXT_H_
