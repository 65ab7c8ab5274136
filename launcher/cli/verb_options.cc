// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/cli/verb_options.h"

#include <charconv>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/proto/duration_text.h"
#include "runtime/proto/job_checks.h"
#include "runtime/proto/problem.h"

namespace lockstep::launcher {
namespace {

using Problems = std::vector<proto::Problem>;

void AddProblem(std::string_view flag, const std::string& text, std::string what,
                Problems& problems) {
  problems.push_back(
      {.what = std::string(flag) + " " + proto::ShortValue(text) + ": " + std::move(what)});
}

/// Nothing when the flag was not given, or its value is none, which is then among `problems`.
std::optional<int64_t> NumberOf(const Command& command, std::string_view flag, int64_t max,
                                Problems& problems) {
  const std::optional<std::string> text = command.Value(flag);
  if (!text) return std::nullopt;
  int64_t number = -1;
  const char* last = text->data() + text->size();
  const auto [end, error] = std::from_chars(text->data(), last, number);
  if (error == std::errc() && end == last && number >= 0 && number <= max) return number;
  AddProblem(flag, *text, "must be 0 to " + std::to_string(max), problems);
  return std::nullopt;
}

RenderTarget TargetOf(const Command& command, Problems& problems) {
  const std::optional<std::string> text = command.Value("--to");
  if (text == "env") return RenderTarget::kEnvironment;
  if (text == "processes") return RenderTarget::kProcesses;
  if (text == "agents") return RenderTarget::kAgents;
  if (text) {
    AddProblem("--to", *text, "must be env, processes or agents", problems);
  } else {
    problems.push_back({.what = "say what to print: --to env, --to processes or --to agents"});
  }
  return RenderTarget::kEnvironment;
}

/// Nothing for all ranks.
std::optional<base::Rank> RankOf(const Command& command, Problems& problems) {
  const auto rank = NumberOf(command, "--rank", std::numeric_limits<int32_t>::max(), problems);
  return rank ? std::optional(base::Rank(static_cast<int32_t>(*rank))) : std::nullopt;
}

LogStreams StreamsOf(const Command& command, Problems& problems) {
  const std::optional<std::string> text = command.Value("--stream");
  if (!text) return LogStreams::kBoth;
  if (*text == "stdout") return LogStreams::kStdout;
  if (*text == "stderr") return LogStreams::kStderr;
  AddProblem("--stream", *text, "must be stdout or stderr", problems);
  return LogStreams::kBoth;
}

}  // namespace

base::Result<RenderJobOptions> RenderJobOptionsOf(const Command& command) {
  Problems problems;
  RenderJobOptions options;
  options.to = TargetOf(command, problems);
  options.rank = RankOf(command, problems);
  options.all = command.IsOn("--all");
  options.json = command.IsOn("--json");
  RETURN_IF_ERROR(proto::ProblemsToStatus(problems));
  return options;
}

namespace {

void SetHangOptions(const Command& command, ExecOptions& options, Problems& problems) {
  const std::string on_hang = command.Value("--on-hang").value_or("report");
  options.kills_hung = on_hang == "kill";
  if (on_hang != "report" && on_hang != "kill")
    AddProblem("--on-hang", on_hang, "must be report or kill", problems);
  const std::pair<const char*, base::Duration*> times[] = {
      {"--hang-grace", &options.hang_grace},
      {"--hang-action-after", &options.hang_action_after},
      {"--hang-init-deadline", &options.hang_init_deadline},
      {"--hang-deadline", &options.hang_deadline}};
  for (const auto& [flag, to] : times) {
    const auto text = command.Value(flag);
    if (!text) continue;
    const auto time = proto::ParseDuration(*text);
    if (time.ok() && *time > base::Duration(0)) {
      *to = *time;
    } else {
      AddProblem(flag, *text, "must be a time like 90s, and more than 0", problems);
    }
  }
  // As of a job of `lockstep run`.
  if (!command.Value("--hang-action-after")) options.hang_action_after = options.hang_grace;
}

}  // namespace

base::Result<ExecOptions> ExecOptionsOf(const Command& command) {
  ExecOptions options;
  options.program = command.operands;
  options.name = command.Value("--name").value_or("");
  options.job_key = command.Value("--job").value_or("");
  options.checkpoint_directory = command.Value("--checkpoint-dir").value_or("");
  options.backend = command.Value("--backend").value_or("");
  options.check = command.Value("--check").value_or("");
  options.watch = command.Value("--watch").value_or("");
  Problems problems;
  if (command.Value("--name") && !proto::IsJobName(options.name)) {
    AddProblem("--name", options.name,
               "must consist of a-z, 0-9 and -, begin and end with a letter or digit, and have at "
               "most 63 characters",
               problems);
  }
  const std::string& backend = options.backend;
  if (command.Value("--backend") && backend != "host" && backend != "mpi" && backend != "nccl")
    AddProblem("--backend", backend, "must be host, mpi or nccl", problems);
  if (command.Value("--check") && options.check != "fast" && options.check != "strict")
    AddProblem("--check", options.check, "must be fast or strict", problems);
  const std::string& watch = options.watch;
  if (command.Value("--watch") && watch != "off" && watch != "mpi" && watch != "nccl" &&
      watch != "auto")
    AddProblem("--watch", watch, "must be off, mpi, nccl or auto", problems);
  SetHangOptions(command, options, problems);
  RETURN_IF_ERROR(proto::ProblemsToStatus(problems));
  return options;
}

ListJobsOptions ListJobsOptionsOf(const Command& command) {
  return {.all = command.IsOn("--all"),
          .json = command.IsOn("--json"),
          .quiet = command.IsOn("--quiet")};
}

ShowStatusOptions ShowStatusOptionsOf(const Command& command) {
  return {.job = command.operands[0], .json = command.IsOn("--json")};
}

ShowTopOptions ShowTopOptionsOf(const Command& command) {
  return {
      .job = command.operands[0], .once = command.IsOn("--once"), .json = command.IsOn("--json")};
}

ShowMetricsOptions ShowMetricsOptionsOf(const Command& command) {
  return {.job = command.operands[0]};
}

base::Result<ShowStacksOptions> ShowStacksOptionsOf(const Command& command) {
  ShowStacksOptions options;
  options.job = command.operands[0];
  Problems problems;
  options.rank = RankOf(command, problems);
  options.json = command.IsOn("--json");
  RETURN_IF_ERROR(proto::ProblemsToStatus(problems));
  return options;
}

DiagnoseJobOptions DiagnoseJobOptionsOf(const Command& command) {
  const auto folder = command.Value("--export-flight-recorder");
  return {.what = command.operands,
          .json = command.IsOn("--json"),
          .export_to = folder.has_value() ? std::string(*folder) : ""};
}

base::Result<ShowLogsOptions> ShowLogsOptionsOf(const Command& command) {
  ShowLogsOptions options;
  options.job = command.operands[0];
  options.follow = command.IsOn("--follow");
  Problems problems;
  options.rank = RankOf(command, problems);
  if (const auto round =
          NumberOf(command, "--round", std::numeric_limits<uint32_t>::max(), problems)) {
    options.round = base::Round(static_cast<uint32_t>(*round));
  }
  options.streams = StreamsOf(command, problems);
  options.tail_lines = NumberOf(command, "--tail", std::numeric_limits<int64_t>::max(), problems);
  RETURN_IF_ERROR(proto::ProblemsToStatus(problems));
  return options;
}

base::Result<SetHangsOptions> SetHangsOptionsOf(const Command& command) {
  Problems problems;
  SetHangsOptions options;
  options.job = command.operands[0];
  const std::pair<const char*, std::optional<base::Duration>*> times[] = {
      {"--grace", &options.grace},
      {"--action-after", &options.action_after},
      {"--init-deadline", &options.init_deadline},
      {"--deadline", &options.deadline}};
  for (const auto& [flag, to] : times) {
    const auto text = command.Value(flag);
    if (!text) continue;
    const auto time = proto::ParseDuration(*text);
    if (time.ok()) *to = *time;
    if (!time.ok()) AddProblem(flag, *text, "must be a time like 90s", problems);
  }
  RETURN_IF_ERROR(proto::ProblemsToStatus(problems));
  return options;
}

StopJobOptions StopJobOptionsOf(const Command& command) {
  StopJobOptions options;
  options.job = command.operands[0];
  options.at_once = command.IsOn("--now");
  options.wait = !command.IsOn("--no-wait");
  return options;
}

RemoveJobOptions RemoveJobOptionsOf(const Command& command) {
  return {.job = command.operands[0], .force = command.IsOn("--force")};
}

base::Result<PruneJobsOptions> PruneJobsOptionsOf(const Command& command) {
  PruneJobsOptions options;
  const auto older = command.Value("--older");
  if (!older) return options;
  const auto duration = proto::ParseDuration(*older, /*with_days=*/true);
  if (!duration.ok()) return base::InvalidArgumentError("--older: " + duration.status().message());
  options.older = *duration;
  return options;
}

}  // namespace lockstep::launcher
