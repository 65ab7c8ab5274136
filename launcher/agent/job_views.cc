// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/job_views.h"

#include <chrono>
#include <utility>

#include "launcher/agent/gang_status.h"
#include "launcher/agent/live_status.h"
#include "launcher/agent/metrics_text.h"

namespace lockstep::launcher {
namespace {

/// As often as such files are commonly read.
constexpr base::Duration kMetricsInterval = std::chrono::seconds(10);
constexpr base::Duration kRemovalWait = std::chrono::milliseconds(200);

}  // namespace

JobViews::JobViews(Config config, Deps deps)
    : config_(std::move(config)),
      deps_(std::move(deps)),
      started_at_(deps_.loop.Now()),
      live_(deps_.loop, deps_.ranks),
      metrics_(config_.metrics_file, config_.job_id, deps_.files) {}

base::Status JobViews::Open() {
  if (config_.metrics_file.empty()) return base::OkStatus();
  RETURN_IF_ERROR(metrics_.Open(MetricsText(Status())));
  ScheduleMetrics();
  return base::OkStatus();
}

void JobViews::SetCluster(JobCluster& cluster) {
  cluster_ = &cluster;
  live_.SetFar(cluster.live_looks());
}

void JobViews::Answer(const proto::StatusRequest& request, OnAnswer answer) {
  if (!request.live()) {
    proto::ControlReply reply;
    *reply.mutable_status() = StatusPage(Status(), request.first_row());
    return answer(std::move(reply));
  }
  live_.Take([this, first_row = request.first_row(),
              answer = std::move(answer)](const proto::StatusReply& live) {
    proto::ControlReply reply;
    *reply.mutable_status() = StatusPage(LiveStatus(live), first_row);
    answer(std::move(reply));
  });
}

void JobViews::Close() {
  metrics_timer_.reset();
  metrics_.Remove();
  // So that who is told of the end finds none; where the file system hangs, others still wait.
  (void)metrics_.Await(kRemovalWait);
}

proto::StatusReply JobViews::Status() const {
  const base::SteadyTime now = deps_.loop.Now();
  proto::StatusReply status = StatusOf(deps_.driver.state(), deps_.driver.steps(), now);
  status.set_job_id(config_.job_id);
  status.set_host(config_.host);
  status.set_job_age_ns((now - started_at_).count());
  for (const auto& [name, count] : deps_.account.verdict_counts()) {
    proto::VerdictCount& verdicts = *status.add_verdicts();
    verdicts.set_class_(name);
    verdicts.set_count(count);
  }
  if (cluster_ != nullptr) cluster_->Describe(status);
  return status;
}

proto::StatusReply JobViews::LiveStatus(const proto::StatusReply& live) const {
  proto::StatusReply status = Status();
  AddLive(live, status);
  if (deps_.pace != nullptr) {
    if (auto pace = deps_.pace()) AddPace(*std::move(pace), status);
  }
  return status;
}

void JobViews::ScheduleMetrics() {
  metrics_timer_ = deps_.loop.After(kMetricsInterval, [this] {
    ScheduleMetrics();
    live_.Take([this](const proto::StatusReply& live) {
      if (!metrics_timer_.active()) return;  // closed meanwhile
      WriteMetrics(LiveStatus(live));
    });
  });
}

void JobViews::WriteMetrics(const proto::StatusReply& status) {
  const base::Status written = metrics_.Write(MetricsText(status));
  if (!written.ok() && !std::exchange(trouble_told_, true))
    deps_.say("there are no metrics for now: " + written.ToString());
}

}  // namespace lockstep::launcher
