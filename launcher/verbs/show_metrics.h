// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_VERBS_SHOW_METRICS_H_
#define LOCKSTEP_LAUNCHER_VERBS_SHOW_METRICS_H_

#include <string>

#include "launcher/verbs/verb_context.h"
#include "runtime/base/status.h"

namespace lockstep::launcher {

struct ShowMetricsOptions {
  std::string job;  // id, name, or the beginning of an id
};

/// `lockstep metrics`: what `--metrics-file` would hold now. Blocks: 5 s for the agent's answer.
/// Errors: as JobStore::Find; NotFound - the job does not run; else as AskAgent.
base::Status ShowMetrics(const VerbContext& context, const ShowMetricsOptions& options);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_VERBS_SHOW_METRICS_H_
