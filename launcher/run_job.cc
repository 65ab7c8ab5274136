// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/run_job.h"

#include <sys/random.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>
#include <utility>

#include "launcher/agent/agent.h"
#include "launcher/agent/job_record.h"
#include "launcher/agent/metrics_file.h"
#include "launcher/agent/rank_setup.h"
#include "launcher/front/front.h"
#include "launcher/jobs/job_directory.h"
#include "launcher/jobs/process_identity.h"
#include "launcher/record_agent_end.h"
#include "launcher/run_parts.h"

namespace lockstep::launcher {
namespace {

uint64_t RandomSeed() {
  uint64_t seed = 0;
  // Early in the boot of a machine the kernel may have none yet; an id is still made, and checked.
  (void)!::getrandom(&seed, sizeof seed, GRND_NONBLOCK);
  return seed;
}

base::Result<JobDirectory> MakeJobDirectory(const VerbContext& context,
                                            const RunJobOptions& options,
                                            const proto::JobState& state) {
  base::Result<JobDirectory> made =
      JobDirectory::Create(context.jobs_root,
                           {.name = options.plan.name,
                            .name_is_users = options.plan.name_is_users,
                            .seed = RandomSeed(),
                            .socket_directory = context.socket_directory,
                            .state = state},
                           context.here, context.files);
  const base::Code code = made.status().code();
  // The name is taken, or another `lockstep` holds the lock: not a matter of the folder.
  const bool in_use = code == base::Code::kAlreadyExists || code == base::Code::kDeadlineExceeded;
  if (!made.ok() && !in_use) return CannotWrite(made.status());
  return made;
}

}  // namespace

base::Result<int> RunJob(const VerbContext& context, RunJobOptions options) {
  RETURN_IF_ERROR(MakeLogFolder(options.plan.job.spec().logs()));
  const proto::JobState state = FirstState(context, options.plan);
  ASSIGN_OR_RETURN(JobDirectory directory, MakeJobDirectory(context, options, state));

  FrontOptions front{
      .detach = options.detach,
      .detached_output_path = directory.path() + "/console.log",
      .started_message = [&directory] { return "job " + directory.job_id() + " started\n"; }};
  JobPlan& plan = options.plan;
  std::error_code error;
  const std::string folder = std::filesystem::current_path(error).string();
  std::string log_directory = LogFolderOf(plan.job.spec().logs(), folder, directory.job_id());
  AgentConfig config{.job = std::move(plan.job),
                     .spec_text = std::move(options.spec_text),
                     .arguments = std::move(plan.arguments),
                     .nodes = std::move(plan.nodes),
                     .rank_count = state.rank_count(),
                     .seed = RandomSeed(),
                     .environment = std::move(plan.environment),
                     .directory = directory,
                     .state = state,
                     .here = context.here,
                     .socket_directory = context.socket_directory,
                     .log_directory = std::move(log_directory)};
  if (const std::string& metrics = config.job.spec().metrics().file(); !metrics.empty()) {
    const auto path = (std::filesystem::path(folder) / metrics).string();
    config.job.mutable_spec()->mutable_metrics()->set_file(path);
  }
  config.state.set_job_id(directory.job_id());
  config.state.set_log_directory(config.log_directory);
  config.state.set_name(plan.name);
  config.detached = options.detach;
  config.program_word = plan.program_word;
  config.meeting = std::move(options.meeting);
  config.jobs_root = context.jobs_root;
  config.color_stdout = !options.detach && WantsColor(config.environment, STDOUT_FILENO);
  config.color_stderr = !options.detach && WantsColor(config.environment, STDERR_FILENO);
  front.on_agent_end = [&context, directory, logs = config.log_directory,
                        metrics = config.job.spec().metrics().file()](const AgentEnd& end) mutable {
    RecordAgentEnd(context, directory, logs, end);
    // Nobody is to find metrics of an agent that was killed.
    if (!metrics.empty() && end.how == AgentEnd::How::kKilled)
      RemoveMetricsOf(directory.job_id(), metrics, context.files);
  };
  return RunFront(front, [&config](base::UniqueFd link, pid_t guard) {
    // Not this process, when that one is in the background.
    if (auto identity = IdentifyProcess(config.here, guard); identity.ok()) {
      *config.state.mutable_front() = *std::move(identity);
    }
    return RunAgent(std::move(config), std::move(link));
  });
}

}  // namespace lockstep::launcher
