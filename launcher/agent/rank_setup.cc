// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/rank_setup.h"

#include <filesystem>
#include <string>

#include "runtime/proto/duration_text.h"

namespace lockstep::launcher {
namespace {

proto::Streams StreamsOf(const proto::StreamChoice& choice, base::LocalRank local_rank) {
  const auto found = choice.ranks().find(local_rank.value());
  return found != choice.ranks().end() ? found->second : choice.every_rank();
}

bool Includes(proto::Streams streams, proto::Streams one) {
  return streams == one || streams == proto::STREAMS_BOTH;
}

/// Output is always kept in files; what is redirected goes nowhere else, unless it is teed too.
process::OutputTarget TargetOf(const proto::Logs& logs, base::LocalRank rank, proto::Streams one) {
  const bool redirected = Includes(StreamsOf(logs.redirects(), rank), one);
  const bool teed = Includes(StreamsOf(logs.tee(), rank), one);
  return redirected && !teed ? process::OutputTarget::kFile : process::OutputTarget::kBoth;
}

}  // namespace

elastic::GangConfig GangConfigOf(const proto::JobSpec& spec, int rank_count, uint64_t seed) {
  elastic::GangConfig config;
  config.rank_count = rank_count;
  config.max_restarts = spec.restart().max_restarts();
  config.seed = seed;
  config.backoff_first = proto::FromProto(spec.restart().backoff().first());
  config.backoff_max = proto::FromProto(spec.restart().backoff().max());
  config.peer_failure_grace = proto::FromProto(spec.grace().peer_failure());
  config.user_stop_grace = proto::FromProto(spec.grace().user_stop());
  config.stop_on_repeated_failure = spec.restart().stop_on_repeated_failure();
  config.keep_survivors = spec.restart().on_rank_failure() == proto::RANK_FAILURE_KEEP;
  config.min_ranks = spec.restart().min_ranks();
  return config;
}

std::string LogFolderOf(const proto::Logs& logs, const std::string& working_directory,
                        const std::string& job_id) {
  if (!logs.has_directory()) return "";
  return std::filesystem::path(working_directory) / logs.directory() / job_id;
}

RankFiles RankFilesOf(const std::string& round_folder, base::Rank rank) {
  const std::string stem = round_folder + "/rank-" + rank.ToString();
  return {stem + ".stdout", stem + ".stderr", stem + ".error.json"};
}

process::FileLimits FileLimitsOf(const proto::Logs& logs) {
  return {.file_bytes_max = static_cast<uint64_t>(logs.max_file_bytes()),
          .old_files_max = logs.keep_files(),
          .total_bytes_max = static_cast<uint64_t>(logs.max_total_bytes())};
}

process::RankOutputPlan OutputPlanOf(const proto::Logs& logs, base::Rank rank,
                                     base::LocalRank local_rank,
                                     std::optional<base::NodeIndex> node, int rank_count,
                                     const RankFiles& files) {
  process::RankOutputPlan plan;
  plan.rank = rank;
  if (logs.prefix()) {
    // Padded, so that lines of a large gang stand in one column.
    const size_t width = std::to_string(rank_count - 1).size();
    const std::string number = rank.ToString();
    plan.prefix = "[" + (node ? node->ToString() + "." : "") +
                  std::string(width - number.size(), ' ') + number + "] ";
  }
  plan.standard_output = {TargetOf(logs, local_rank, proto::STREAMS_STDOUT), files.standard_output};
  plan.standard_error = {TargetOf(logs, local_rank, proto::STREAMS_STDERR), files.standard_error};
  plan.line_buffered = logs.line_buffered();
  return plan;
}

topology::Environment VariablesOf(const proto::Program& program) {
  topology::Environment variables;
  for (const proto::EnvironmentVariable& variable : program.env()) {
    variables[variable.name()] = variable.value();
  }
  return variables;
}

}  // namespace lockstep::launcher
