// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_CLI_VERB_OPTIONS_H_
#define LOCKSTEP_LAUNCHER_CLI_VERB_OPTIONS_H_

#include "launcher/cli/command_line.h"
#include "launcher/exec/exec_options.h"
#include "launcher/verbs/diagnose_job.h"
#include "launcher/verbs/list_jobs.h"
#include "launcher/verbs/remove_jobs.h"
#include "launcher/verbs/render_job.h"
#include "launcher/verbs/set_hangs.h"
#include "launcher/verbs/show_logs.h"
#include "launcher/verbs/show_metrics.h"
#include "launcher/verbs/show_stacks.h"
#include "launcher/verbs/show_status.h"
#include "launcher/verbs/show_top.h"
#include "launcher/verbs/stop_job.h"
#include "runtime/base/result.h"

/// From a parsed command to what carries its verb out. Each takes a command of its own verb. Pure
/// functions.
namespace lockstep::launcher {

/// Errors: InvalidArgument - --to names nothing that can be printed, --rank is no number; all at
/// once.
base::Result<RenderJobOptions> RenderJobOptionsOf(const Command& command);
/// Errors: InvalidArgument - --name is no name for a job, --backend no backend,
/// --check no way to check; all at once.
base::Result<ExecOptions> ExecOptionsOf(const Command& command);
ListJobsOptions ListJobsOptionsOf(const Command& command);
ShowStatusOptions ShowStatusOptionsOf(const Command& command);
ShowTopOptions ShowTopOptionsOf(const Command& command);
ShowMetricsOptions ShowMetricsOptionsOf(const Command& command);
/// Without the path.
base::Result<ShowStacksOptions> ShowStacksOptionsOf(const Command& command);
DiagnoseJobOptions DiagnoseJobOptionsOf(const Command& command);
/// Errors: InvalidArgument - --rank, --round or --tail is no number, --stream no stream; all at
/// once.
base::Result<ShowLogsOptions> ShowLogsOptionsOf(const Command& command);
/// Errors: InvalidArgument - one of them is no time.
base::Result<SetHangsOptions> SetHangsOptionsOf(const Command& command);
StopJobOptions StopJobOptionsOf(const Command& command);
RemoveJobOptions RemoveJobOptionsOf(const Command& command);
/// Errors: InvalidArgument - --older is no duration.
base::Result<PruneJobsOptions> PruneJobsOptionsOf(const Command& command);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_CLI_VERB_OPTIONS_H_
