// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_VERBS_RENDER_JOB_H_
#define LOCKSTEP_LAUNCHER_VERBS_RENDER_JOB_H_

#include <cstdint>
#include <optional>
#include <string_view>

#include "launcher/config/job_plan.h"
#include "launcher/verbs/verb_context.h"
#include "runtime/base/ids.h"
#include "runtime/base/status.h"

namespace lockstep::launcher {

/// Stands for a value that nobody knows before the job starts: its id, a free port, a socket, a
/// cookie.
inline constexpr std::string_view kChosenAtStart = "<chosen at start>";

enum class RenderTarget : uint8_t { kEnvironment, kProcesses, kAgents };

struct RenderJobOptions {
  RenderTarget to = RenderTarget::kEnvironment;
  std::optional<base::Rank> rank;  // unset: all; means nothing for agents
  bool all = false;                // of the environment: also what ranks inherit as it is
  bool json = false;
};

/// `lockstep render`: prints what `lockstep run` would start for this plan in its first round, made
/// by what agents make it with (rank_world.h, topology::MakeRankEnvironment). Starts nothing and
/// leaves nothing behind. Values of secret variables are <redacted>.
/// Errors: OutOfRange - the job has no such rank.
base::Status RenderJob(const VerbContext& context, const JobPlan& plan,
                       const RenderJobOptions& options);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_VERBS_RENDER_JOB_H_
