// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_JOB_VIEWS_H_
#define LOCKSTEP_LAUNCHER_AGENT_JOB_VIEWS_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "launcher/agent/gang_driver.h"
#include "launcher/agent/job_account.h"
#include "launcher/agent/job_cluster.h"
#include "launcher/agent/live_look.h"
#include "launcher/agent/metrics_file.h"
#include "launcher/cluster/questions.h"
#include "launcher/diagnosis/rank_looks.h"
#include "runtime/base/clock.h"
#include "runtime/base/status.h"
#include "runtime/event/loop.h"
#include "runtime/proto/control.pb.h"
#include "runtime/proto/pace.pb.h"
#include "runtime/storage/file_system.h"

namespace lockstep::launcher {

/// What others see of a job that runs: the answers to `lockstep status`, `top` and `metrics`, and
/// the metrics file. Decides nothing. One per agent of `lockstep run`, owned by it. Confined to the
/// loop's thread.
class JobViews {
 public:
  struct Config {
    std::string job_id;
    std::string host;
    std::string metrics_file;  // absolute; "" = there is none
  };
  /// All outlive this.
  struct Deps {
    event::Loop& loop;
    storage::FileSystem& files;
    const GangDriver& driver;
    const JobAccount& account;
    std::function<std::vector<WatchedRank>()> ranks;      // that are watched
    std::function<std::optional<proto::JobPace>()> pace;  // of the last window, if there is one
    std::function<void(const std::string& text)> say;     // to the job's user
  };

  JobViews(Config config, Deps deps);
  JobViews(const JobViews&) = delete;
  JobViews& operator=(const JobViews&) = delete;

  /// Begins to write the metrics file, if there is to be one. Errors: as MetricsFile::Open.
  base::Status Open();
  /// Of a job of several nodes, once they have come together.
  void SetCluster(JobCluster& cluster);
  void BeginRound() { live_.BeginRound(); }
  void Answer(const proto::StatusRequest& request, OnAnswer answer);
  /// The job is over: nobody is to find metrics of it. Blocks for 200 ms at most.
  void Close();

 private:
  proto::StatusReply Status() const;
  proto::StatusReply LiveStatus(const proto::StatusReply& live) const;
  void ScheduleMetrics();
  void WriteMetrics(const proto::StatusReply& status);

  const Config config_;
  const Deps deps_;
  const base::SteadyTime started_at_;
  JobCluster* cluster_ = nullptr;  // null: one node
  LiveLook live_;
  MetricsFile metrics_;
  bool trouble_told_ = false;  // with that
  event::Registration metrics_timer_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_JOB_VIEWS_H_
