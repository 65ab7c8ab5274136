// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verbs/show_status.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <vector>

#include "launcher/verbs/ask_agent.h"
#include "launcher/verbs/status_text.h"
#include "launcher/verbs/verb_text.h"
#include "runtime/proto/verdict.pb.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;
using Rows = TextRows;

constexpr base::Duration kAnswerLimit = 5s;
constexpr size_t kVerdictBytesMax = size_t{4} << 20;

// ------------------------------------------------------------------------ of a job with an agent

Rows HeadRows(const proto::StatusReply& status) {
  Rows rows = {{"job", status.job_id() + " on " + Printable(status.host())},
               {"state", status.phase() + (status.suspended() ? ", stopped by a signal" : "")}};
  if (status.launcher().empty()) {
    rows.push_back({"round", std::to_string(status.round()) + ", for " +
                                 TimeText(status.round_age_ns()) + "; " + RestartsText(status)});
  } else {
    rows.push_back({"launcher", Printable(status.launcher()) + "; of " +
                                    std::to_string(status.rank_count()) + " ranks " +
                                    std::to_string(status.ranks_size()) + " have come here, " +
                                    std::to_string(status.ranks_awaited()) + " are awaited"});
  }
  if (status.membership_round() > status.round()) {
    rows.push_back({"members", std::to_string(status.member_count()) + " of " +
                                   std::to_string(status.rank_count()) +
                                   " ranks, which go on in round " +
                                   std::to_string(status.membership_round())});
  }
  rows.push_back({"age", TimeText(status.job_age_ns())});
  if (status.has_best_step()) rows.push_back({"step", std::to_string(status.best_step())});
  if (const auto samples = SamplesPerSecond(status))
    rows.push_back({"samples", NumberText(*samples) + " a second"});
  for (const std::string& slow : status.pace().slow()) rows.push_back({"slow", Printable(slow)});
  return rows;
}

Rows RankRows(const proto::StatusReply& status) {
  const bool several_nodes = status.nodes_size() > 0;
  const bool has_phases = std::any_of(status.ranks().begin(), status.ranks().end(),
                                      [](const auto& rank) { return !rank.phase().empty(); });
  const bool has_samples = SamplesPerSecond(status).has_value();
  Rows rows = {{"RANK"}};
  if (several_nodes) rows[0].insert(rows[0].end(), {"NODE", "HOST"});
  rows[0].insert(rows[0].end(), {"PID", "LIFE", "STEP"});
  if (has_samples) rows[0].push_back("SAMPLES/S");
  if (has_phases) rows[0].push_back("PHASE");
  rows[0].push_back("EXIT");
  for (const proto::RankStatus& rank : status.ranks()) {
    std::vector<std::string>& row = rows.emplace_back();
    row.push_back(std::to_string(rank.rank()));
    if (several_nodes) {
      row.push_back(std::to_string(rank.node()));
      row.push_back(Printable(rank.host()));
    }
    row.push_back(rank.pid() == 0 ? "-" : std::to_string(rank.pid()));
    row.push_back(rank.life());
    row.push_back(rank.has_step() ? std::to_string(rank.step()) : "-");
    if (has_samples) {
      row.push_back(rank.has_samples_per_second() ? NumberText(rank.samples_per_second()) : "-");
    }
    if (has_phases) row.push_back(rank.phase().empty() ? "-" : Printable(rank.phase()));
    row.push_back(Printable(rank.exit()));
  }
  return rows;
}

/// "+12.3us +-40us": so far is the node's clock behind the coordinator's.
std::string ClockText(const proto::NodeStatus& node) {
  if (node.is_coordinator() || !node.has_clock_offset_ns()) return "-";
  const int64_t offset = node.clock_offset_ns();
  return (offset < 0 ? "-" : "+") + TimeText(offset < 0 ? -offset : offset) + " +-" +
         TimeText(node.clock_error_ns());
}

Rows NodeRows(const proto::StatusReply& status) {
  Rows rows = {{"NODE", "HOST", "STATE", "SLOTS", "HEARD", "CLOCK", "LOGS"}};
  for (const proto::NodeStatus& node : status.nodes()) {
    const bool is_remote = node.state() == "alive" && !node.is_coordinator();
    rows.push_back({std::to_string(node.node()), Printable(node.host()), node.state(),
                    node.slots() > 0 ? std::to_string(node.slots()) : "-",
                    is_remote ? TimeText(node.heartbeat_age_ns()) + " ago" : "-", ClockText(node),
                    node.log_folder().empty() ? "-" : Printable(node.log_folder())});
  }
  return rows;
}

base::Status PrintReply(const VerbContext& context, const ShowStatusOptions& options,
                        const proto::StatusReply& status) {
  if (options.json) {
    ASSIGN_OR_RETURN(const std::string json, ToJson(status));
    std::fprintf(context.out, "%s\n", json.c_str());
    return base::OkStatus();
  }
  std::string text = FormatTable(HeadRows(status)) + "\n";
  if (status.nodes_size() > 0) text += FormatTable(NodeRows(status)) + "\n";
  if (status.groups_size() > 0) text += FormatTable(GroupRows(status));
  if (status.groups_left_out() > 0)
    text += "and " + std::to_string(status.groups_left_out()) + " groups more\n";
  if (status.groups_size() > 0) text += "\n";
  text += FormatTable(RankRows(status));
  std::fputs(text.c_str(), context.out);
  return base::OkStatus();
}

// --------------------------------------------------------------------- of a job without an agent

/// nullopt when the job has none, or a damaged one.
std::optional<proto::Verdict> ReadVerdict(const VerbContext& context, const JobEntry& job) {
  const auto json = storage::ReadText(context.files, job.path + "/verdict.json", kVerdictBytesMax);
  proto::Verdict verdict;
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;  // a newer lockstep may have written it
  if (!json.ok() || !google::protobuf::util::JsonStringToMessage(*json, &verdict, options).ok()) {
    return std::nullopt;
  }
  return verdict;
}

bool IsStarting(const JobEntry& job) { return job.state.phase() <= proto::JOB_PHASE_STARTING; }

std::string StateText(const VerbContext& context, const JobEntry& job) {
  const base::WallTime now = context.clock.WallNow();
  switch (job.condition) {
    case JobCondition::kLive:
      if (IsStarting(job)) return "starting; its agent does not listen yet";
      return "unreachable at " + Printable(job.state.socket_path()) +
             " (was the folder removed?); it lives, and this is its last note" +
             (job.state.launcher().empty() ? "; `lockstep stop " + job.id + "` ends it" : "");
    case JobCondition::kEnded:
      return (job.state.has_exit_code()
                  ? "ended with exit status " + std::to_string(job.state.exit_code())
                  : "ended") +
             ", " + AgeText(now, job.state.ended()) + " ago";
    case JobCondition::kLost:
      return (job.state.launcher().empty() ? "lost: its `lockstep run` and its agent"
                                           : std::string("lost: its agent")) +
             " died without a word; started " + AgeText(now, job.state.started()) + " ago";
    case JobCondition::kElsewhere: return Printable(PlaceOf(job, context.here)) + "; ask there";
  }
  return "";
}

std::string VerdictText(const proto::Verdict& verdict) {
  std::string text = proto::Verdict::Class_Name(verdict.class_());
  for (const proto::Culprit& culprit : verdict.culprits()) {
    text += "; rank " + std::to_string(culprit.rank()) + " on " + Printable(culprit.host()) +
            " (pid " + std::to_string(culprit.pid()) + "): " + Printable(culprit.why());
  }
  if (verdict.victims_size() > 0) {
    text += "; " + std::to_string(verdict.victims_size()) + " ranks ended because of it";
  }
  return text;
}

void PrintEntryText(const VerbContext& context, const JobEntry& job,
                    const std::optional<proto::Verdict>& verdict) {
  const proto::JobState& state = job.state;
  const bool ours = state.launcher().empty();
  Rows rows = {{"job", job.id + (job.host.empty() ? "" : " on " + Printable(job.host))},
               {"state", StateText(context, job)}};
  if (ours) {
    rows.push_back({"rounds", std::to_string(state.round() + 1) + "; " +
                                  std::to_string(state.restarts_used()) + " restarts used"});
  } else {
    rows.push_back({"launcher", Printable(state.launcher())});
  }
  rows.push_back({"ranks", std::to_string(state.rank_count())});
  rows.push_back({"command", Printable(state.command())});
  if (verdict) rows.push_back({"verdict", VerdictText(*verdict)});
  rows.push_back({"folder", job.path});
  if (ours) rows.push_back({"output", "lockstep logs " + job.id});
  std::fputs(FormatTable(rows).c_str(), context.out);
}

base::Status PrintEntryJson(const VerbContext& context, const JobEntry& job,
                            const std::optional<proto::Verdict>& verdict) {
  proto::StatusReply status;
  status.set_job_id(job.id);
  status.set_host(job.host);
  status.set_phase(job.condition != JobCondition::kLive ? std::string(ConditionName(job.condition))
                   : IsStarting(job)                    ? "starting"
                                                        : "unreachable");
  status.set_round(job.state.round());
  status.set_restarts_used(job.state.restarts_used());
  status.set_launcher(job.state.launcher());
  status.set_rank_count(job.state.rank_count());
  ASSIGN_OR_RETURN(std::string json, ToJson(status));
  if (job.state.has_exit_code()) {
    json = WithMember(json, "exit_code", std::to_string(job.state.exit_code()));
  }
  if (verdict) {
    ASSIGN_OR_RETURN(const std::string verdict_json, ToJson(*verdict));
    json = WithMember(json, "verdict", verdict_json);
  }
  std::fprintf(context.out, "%s\n", json.c_str());
  return base::OkStatus();
}

}  // namespace

base::Status ShowStatus(const VerbContext& context, const ShowStatusOptions& options) {
  ASSIGN_OR_RETURN(JobEntry job, OpenStore(context).Find(options.job));
  if (job.condition == JobCondition::kLive) {
    const base::Result<proto::StatusReply> reply =
        AskStatus(context, job, kAnswerLimit, /*live=*/true);
    if (reply.ok()) return PrintReply(context, options, *reply);
    if (!NobodyListens(reply.status())) return reply.status();
    // It does not listen yet, has ended since, or its socket is gone: what it wrote down is left.
    ASSIGN_OR_RETURN(job, OpenStore(context).Get(job.id));
  }
  const std::optional<proto::Verdict> verdict = ReadVerdict(context, job);
  if (options.json) return PrintEntryJson(context, job, verdict);
  PrintEntryText(context, job, verdict);
  return base::OkStatus();
}

}  // namespace lockstep::launcher
