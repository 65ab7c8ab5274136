// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verbs/list_jobs.h"

#include <algorithm>
#include <string>
#include <vector>

#include "launcher/verbs/verb_text.h"

namespace lockstep::launcher {
namespace {

std::string StateText(const JobEntry& job, const HostIdentity& here) {
  switch (job.condition) {
    case JobCondition::kLive: break;
    case JobCondition::kEnded:
      if (!job.state.has_exit_code()) return "ended";  // of ranks that another launcher has started
      return "ended (" + std::to_string(job.state.exit_code()) + ")";
    case JobCondition::kLost: return "lost";
    case JobCondition::kElsewhere: return Printable(PlaceOf(job, here));
  }
  switch (job.state.phase()) {
    case proto::JOB_PHASE_STARTING: return "starting";
    case proto::JOB_PHASE_BACKING_OFF: return "backing off";
    default: return "running";
  }
}

std::vector<std::string> RowOf(const VerbContext& context, const JobEntry& job) {
  const proto::JobState& state = job.state;
  return {job.id,
          StateText(job, context.here),
          std::to_string(state.rank_count()),
          std::to_string(std::max(state.node_count(), 1)),
          std::to_string(state.round()),
          std::to_string(state.restarts_used()),
          AgeText(context.clock.WallNow(), state.started()),
          Printable(state.command())};
}

base::Status PrintJson(const VerbContext& context, const std::vector<JobEntry>& jobs) {
  std::string text = "[";
  for (const JobEntry& job : jobs) {
    ASSIGN_OR_RETURN(const std::string state, ToJson(job.state));
    const std::string condition = "\"" + std::string(ConditionName(job.condition)) + "\"";
    text += (text.size() > 1 ? ",\n " : "") + WithMember(state, "condition", condition);
  }
  std::fprintf(context.out, "%s]\n", text.c_str());
  return base::OkStatus();
}

void PrintTable(const VerbContext& context, const std::vector<JobEntry>& jobs) {
  std::vector<std::vector<std::string>> rows = {
      {"JOB", "STATE", "RANKS", "HOSTS", "ROUND", "RESTARTS", "AGE", "COMMAND"}};
  for (const JobEntry& job : jobs) rows.push_back(RowOf(context, job));
  std::fputs(FormatTable(rows).c_str(), context.out);
}

}  // namespace

base::Status ListJobs(const VerbContext& context, const ListJobsOptions& options) {
  ASSIGN_OR_RETURN(std::vector<JobEntry> jobs, OpenStore(context).List());
  const size_t known = jobs.size();
  if (!options.all) {
    std::erase_if(jobs, [](const JobEntry& job) { return job.condition != JobCondition::kLive; });
  }
  if (options.quiet) {
    for (const JobEntry& job : jobs) std::fprintf(context.out, "%s\n", job.id.c_str());
    return base::OkStatus();
  }
  if (options.json) return PrintJson(context, jobs);
  PrintTable(context, jobs);
  if (jobs.empty() && known > 0) {
    std::fprintf(context.err, "lockstep: no job is running; `lockstep ps --all` shows %zu more\n",
                 known);
  }
  return base::OkStatus();
}

}  // namespace lockstep::launcher
