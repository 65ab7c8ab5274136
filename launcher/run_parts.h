// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_RUN_PARTS_H_
#define LOCKSTEP_LAUNCHER_RUN_PARTS_H_

#include "launcher/config/job_plan.h"
#include "launcher/verbs/verb_context.h"
#include "runtime/base/status.h"
#include "runtime/proto/job.pb.h"
#include "runtime/proto/job_state.pb.h"
#include "runtime/topology/environment.h"

/// What every node on which `lockstep run` is typed does before it has an agent. Functions without
/// state.
namespace lockstep::launcher {

/// Makes the spec's log folder when it is missing. Errors: PermissionDenied - it cannot be made or
/// written.
base::Status MakeLogFolder(const proto::Logs& logs);

/// Whether prefixes on that descriptor are coloured: a terminal, and no NO_COLOR.
bool WantsColor(const topology::Environment& environment, int fd);

/// Of a job that this process, `lockstep run`, is about to start.
proto::JobState FirstState(const VerbContext& context, const JobPlan& plan);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_RUN_PARTS_H_
