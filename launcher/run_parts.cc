// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/run_parts.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "launcher/agent/job_record.h"
#include "launcher/jobs/process_identity.h"
#include "launcher/verbs/verb_text.h"
#include "runtime/base/errno_status.h"

namespace lockstep::launcher {
base::Status MakeLogFolder(const proto::Logs& logs) {
  if (!logs.has_directory()) return base::OkStatus();
  std::error_code error;
  std::filesystem::create_directories(logs.directory(), error);
  if (error) {
    return CannotWrite(base::ErrnoStatus(error.value(), "make the log folder " + logs.directory()));
  }
  if (::access(logs.directory().c_str(), W_OK | X_OK) != 0) {
    return CannotWrite(base::ErrnoStatus(errno, "write into the log folder " + logs.directory()));
  }
  return base::OkStatus();
}

bool WantsColor(const topology::Environment& environment, int fd) {
  const auto no_color = environment.find("NO_COLOR");
  return (no_color == environment.end() || no_color->second.empty()) && ::isatty(fd) == 1;
}

proto::JobState FirstState(const VerbContext& context, const JobPlan& plan) {
  proto::JobState state;
  state.set_phase(proto::JOB_PHASE_STARTING);
  state.set_rank_count(plan.rank_count());
  state.set_node_count(static_cast<int>(std::max<size_t>(plan.nodes.size(), 1)));
  state.set_simulates_hosts(plan.job.spec().placement().has_simulated());
  state.set_command(CommandText(plan.arguments));
  *state.mutable_started() = ToTimestamp(context.clock.WallNow());
  if (auto self = IdentifyProcess(context.here, ::getpid()); self.ok()) {
    *state.mutable_front() = *std::move(self);
  }
  return state;
}

}  // namespace lockstep::launcher
