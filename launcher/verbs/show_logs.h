// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_VERBS_SHOW_LOGS_H_
#define LOCKSTEP_LAUNCHER_VERBS_SHOW_LOGS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "launcher/verbs/verb_context.h"
#include "runtime/base/ids.h"
#include "runtime/base/status.h"

namespace lockstep::launcher {

enum class LogStreams : uint8_t { kBoth, kStdout, kStderr };

struct ShowLogsOptions {
  std::string job;                   // id, name, or the beginning of an id
  std::optional<base::Rank> rank;    // unset: all
  std::optional<base::Round> round;  // unset: the last; followed, each that comes
  LogStreams streams = LogStreams::kBoth;
  std::optional<uint64_t> tail_lines;  // of each stream; unset: from its beginning
  bool follow = false;                 // until the job has ended
};

/// `lockstep logs`: prints the files that ranks' output is kept in, stdout's to `out` and stderr's
/// to `err`, over all the files that a stream was rotated into. One rank's bytes come as they are.
/// Of several ranks each line begins with its rank, "[3] ", and progress bars show their last
/// state, as on the console of `lockstep run`; without `follow` rank by rank.
/// Files of ranks on other nodes are fetched by the job's agents, as long as those live; followed,
/// they are read to the end of the job.
/// Of a job that another launcher has started there are none, which is told.
/// Blocks: on the disk and the agents; with `follow` until the job has ended (it looks ten times a
/// second).
/// Errors: as JobStore::Find; Unavailable - some output is on another node and cannot be fetched
/// (any more): where it is and how to get it; OutOfRange - no such rank or round; else errno's
/// code: a file cannot be read, or nobody takes the output.
base::Status ShowLogs(const VerbContext& context, const ShowLogsOptions& options);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_VERBS_SHOW_LOGS_H_
