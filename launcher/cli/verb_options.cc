// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/cli/verb_options.h"

#include <charconv>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "runtime/proto/duration_text.h"
#include "runtime/proto/problem.h"

namespace lockstep::launcher {
namespace {

base::Result<int64_t> Number(std::string_view flag, const std::string& text, int64_t max) {
  int64_t number = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size() && number >= 0 && number <= max)
    return number;
  return base::InvalidArgumentError(std::string(flag) + " " + proto::ShortValue(text) +
                                    ": must be 0 to " + std::to_string(max));
}

base::Result<LogStreams> StreamsOf(const std::string& text) {
  if (text == "stdout") return LogStreams::kStdout;
  if (text == "stderr") return LogStreams::kStderr;
  return base::InvalidArgumentError("--stream " + proto::ShortValue(text) +
                                    ": must be stdout or stderr");
}

}  // namespace

ListJobsOptions ListJobsOptionsOf(const Command& command) {
  return {.all = command.IsOn("--all"),
          .json = command.IsOn("--json"),
          .quiet = command.IsOn("--quiet")};
}

ShowStatusOptions ShowStatusOptionsOf(const Command& command) {
  return {.job = command.operands[0], .json = command.IsOn("--json")};
}

base::Result<ShowLogsOptions> ShowLogsOptionsOf(const Command& command) {
  ShowLogsOptions options;
  options.job = command.operands[0];
  options.follow = command.IsOn("--follow");
  if (const auto rank = command.Value("--rank")) {
    ASSIGN_OR_RETURN(const int64_t number,
                     Number("--rank", *rank, std::numeric_limits<int32_t>::max()));
    options.rank = base::Rank(static_cast<int32_t>(number));
  }
  if (const auto round = command.Value("--round")) {
    ASSIGN_OR_RETURN(const int64_t number,
                     Number("--round", *round, std::numeric_limits<uint32_t>::max()));
    options.round = base::Round(static_cast<uint32_t>(number));
  }
  if (const auto stream = command.Value("--stream")) {
    ASSIGN_OR_RETURN(options.streams, StreamsOf(*stream));
  }
  if (const auto tail = command.Value("--tail")) {
    ASSIGN_OR_RETURN(options.tail_lines,
                     Number("--tail", *tail, std::numeric_limits<int64_t>::max()));
  }
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
