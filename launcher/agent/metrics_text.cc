// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/metrics_text.h"

#include <algorithm>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "elastic/gang_state.h"
#include "runtime/telemetry/metrics.h"

namespace lockstep::launcher {
namespace {

using telemetry::Labels;
using telemetry::MetricSet;

constexpr elastic::Phase kPhases[] = {elastic::Phase::kIdle,        elastic::Phase::kStarting,
                                      elastic::Phase::kRunning,     elastic::Phase::kSettling,
                                      elastic::Phase::kTerminating, elastic::Phase::kKilling,
                                      elastic::Phase::kBackingOff,  elastic::Phase::kDone};

double Seconds(int64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1e9; }

/// The series of one job.
class JobMetrics {
 public:
  explicit JobMetrics(const proto::StatusReply& status) : status_(status) {}

  std::string Text() {
    AddJob();
    AddNodes();
    for (const proto::VerdictCount& verdict : status_.verdicts()) {
      set_.AddCounter("lockstep_job_verdicts_total", "Verdicts on the job, by class.",
                      With({{"class", verdict.class_()}}))
          .Add(verdict.count());
    }
    AddGroups();
    int ranks = 0;
    for (const proto::RankStatus& rank : status_.ranks()) {
      if (++ranks > kRanksMeasured) break;
      AddRank(rank);
    }
    return set_.PrometheusText();
  }

 private:
  Labels With(Labels more) const {
    more.insert(more.begin(), {"job", status_.job_id()});
    return more;
  }
  void Set(std::string_view name, std::string_view help, double value, Labels more = {}) {
    set_.AddGauge(name, help, With(std::move(more))).Set(value);
  }

  void AddJob() {
    Set("lockstep_job_info", "1; where the job's agent runs, and who started the ranks.", 1,
        {{"host", status_.host()},
         {"launcher", status_.launcher().empty() ? "lockstep" : status_.launcher()}});
    for (const elastic::Phase phase : kPhases) {
      const std::string_view name = elastic::PhaseName(phase);
      Set("lockstep_job_phase", "1 of the phase that the job is in.", name == status_.phase(),
          {{"phase", std::string(name)}});
    }
    Set("lockstep_job_suspended", "1 while the job is stopped by a signal.", status_.suspended());
    Set("lockstep_job_age_seconds", "Since the job began.", Seconds(status_.job_age_ns()));
    Set("lockstep_job_round", "The round that runs; 0 is the first start.", status_.round());
    Set("lockstep_job_round_age_seconds", "Since that began.", Seconds(status_.round_age_ns()));
    set_.AddCounter("lockstep_job_restarts_total", "Restarts of the gang.", With({}))
        .Add(status_.restarts_used());
    Set("lockstep_job_restarts_limit", "Restarts that the job may use.", status_.restarts_max());
    Set("lockstep_job_ranks", "Ranks that the job has.", status_.rank_count());
    Set("lockstep_job_ranks_alive", "Those whose process lives.",
        static_cast<double>(
            std::count_if(status_.ranks().begin(), status_.ranks().end(),
                          [](const auto& rank) { return rank.life() == "alive"; })));
    if (status_.has_best_step())
      Set("lockstep_job_step", "The highest step that a rank has reported.",
          static_cast<double>(status_.best_step()));
    if (status_.has_pace())
      Set("lockstep_job_stragglers", "Ranks that keep the others waiting.",
          status_.pace().stragglers_size());
    double samples = 0;
    bool reports_samples = false;
    for (const proto::RankStatus& rank : status_.ranks()) {
      samples += rank.samples_per_second();
      reports_samples |= rank.has_samples_per_second();
    }
    if (reports_samples)
      Set("lockstep_job_samples_per_second", "Samples of all ranks that report them, of late.",
          samples);
  }

  void AddNodes() {
    for (const std::string_view state : {"awaited", "alive", "lost"}) {
      if (status_.nodes_size() == 0) return;
      Set("lockstep_job_nodes", "Nodes of the job, by state.",
          static_cast<double>(
              std::count_if(status_.nodes().begin(), status_.nodes().end(),
                            [&](const auto& node) { return node.state() == state; })),
          {{"state", std::string(state)}});
    }
  }

  void AddGroups() {
    std::set<std::pair<std::string, uint32_t>> told;  // groups may have the same name
    for (const proto::GroupStatus& group : status_.groups()) {
      if (!told.emplace(group.name(), group.round()).second) continue;
      const Labels labels{{"group", group.name()}, {"round", std::to_string(group.round())}};
      Set("lockstep_group_wait_seconds",
          "How long somebody has waited for others in the group's op; 0: nobody does.",
          group.state() == "waiting" || group.state() == "unknown" ? Seconds(group.wait_ns()) : 0,
          labels);
      Set("lockstep_group_awaited_ranks", "Members that have not come to that op.",
          group.awaited_count(), labels);
      Set("lockstep_group_op", "The number of the op in which the group stands.",
          static_cast<double>(group.seq()), labels);
    }
  }

  void AddRank(const proto::RankStatus& rank) {
    const Labels labels{{"rank", std::to_string(rank.rank())}};
    Set("lockstep_rank_up", "1 while the rank's process lives.", rank.life() == "alive", labels);
    if (rank.has_step())
      Set("lockstep_rank_step", "The last step that the rank has reported.",
          static_cast<double>(rank.step()), labels);
    if (rank.has_samples_per_second())
      Set("lockstep_rank_samples_per_second", "Samples that the rank has processed, of late.",
          rank.samples_per_second(), labels);
    if (status_.groups_size() > 0)
      Set("lockstep_rank_wait_seconds",
          "How long the rank has waited in the op in which it is; 0: it does not.",
          Seconds(rank.wait_ns()), labels);
    if (rank.has_pace()) AddPace(rank.pace(), labels);
  }

  void AddPace(const proto::RankPace& pace, const Labels& labels) {
    if (pace.steps_per_second() > 0)
      Set("lockstep_rank_step_seconds", "Time of a step, in the last window.",
          1 / pace.steps_per_second(), labels);
    Set("lockstep_rank_in_ops_ratio", "Share of its time that the rank is in ops.",
        pace.in_ops_share(), labels);
    Set("lockstep_rank_bytes_per_second", "Payload of the rank's ops.", pace.bytes_per_second(),
        labels);
    Set("lockstep_rank_lateness_seconds",
        "How much later than the others it comes to ops in each turn; negative: earlier.",
        Seconds(pace.lateness_ns()), labels);
  }

  const proto::StatusReply& status_;
  MetricSet set_;
};

}  // namespace

std::string MetricsText(const proto::StatusReply& status) { return JobMetrics(status).Text(); }

}  // namespace lockstep::launcher
