// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verbs/show_metrics.h"

#include <chrono>

#include "launcher/agent/metrics_text.h"
#include "launcher/verbs/ask_agent.h"

namespace lockstep::launcher {
namespace {

constexpr base::Duration kAnswerLimit = std::chrono::seconds(5);

}  // namespace

base::Status ShowMetrics(const VerbContext& context, const ShowMetricsOptions& options) {
  ASSIGN_OR_RETURN(const JobEntry job, OpenStore(context).Find(options.job));
  if (job.condition != JobCondition::kLive)
    return base::NotFoundError("metrics of " + job.id + ": it does not run");
  ASSIGN_OR_RETURN(const proto::StatusReply status,
                   AskStatus(context, job, kAnswerLimit, /*live=*/true));
  std::fputs(MetricsText(status).c_str(), context.out);
  return base::OkStatus();
}

}  // namespace lockstep::launcher
