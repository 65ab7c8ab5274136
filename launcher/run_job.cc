// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/run_job.h"

#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include "launcher/agent/agent.h"
#include "launcher/agent/job_record.h"
#include "launcher/agent/rank_setup.h"
#include "launcher/exit_codes.h"
#include "launcher/front/front.h"
#include "launcher/jobs/job_directory.h"
#include "launcher/jobs/process_identity.h"
#include "launcher/verbs/lost_jobs.h"
#include "launcher/verbs/verb_text.h"
#include "launcher/verdict/root_cause.h"
#include "runtime/base/errno_status.h"

namespace lockstep::launcher {
namespace {

uint64_t RandomSeed() {
  uint64_t seed = 0;
  // Early in the boot of a machine the kernel may have none yet; an id is still made, and checked.
  (void)!::getrandom(&seed, sizeof seed, GRND_NONBLOCK);
  return seed;
}

/// Makes the spec's log folder when it is missing.
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

proto::JobState FirstState(const VerbContext& context, const RunJobOptions& options) {
  proto::JobState state;
  state.set_phase(proto::JOB_PHASE_STARTING);
  state.set_rank_count(options.plan.rank_count());
  state.set_node_count(static_cast<int>(std::max<size_t>(options.plan.nodes.size(), 1)));
  state.set_command(CommandText(options.plan.arguments));
  *state.mutable_started() = ToTimestamp(context.clock.WallNow());
  if (auto self = IdentifyProcess(context.here, ::getpid()); self.ok()) {
    *state.mutable_front() = *std::move(self);
  }
  return state;
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

/// A verdict on a job whose agent has left none.
proto::Verdict VerdictOn(const VerbContext& context, const JobEntry& job,
                         const std::string& log_directory, const AgentEnd& end) {
  const bool started = job.state.phase() > proto::JOB_PHASE_STARTING;
  const proto::Verdict::Class verdict_class = end.how == AgentEnd::How::kKilled
                                                  ? proto::Verdict::NODE_LOST
                                              : started ? proto::Verdict::UNKNOWN
                                                        : proto::Verdict::LAUNCH_FAILED;
  proto::Verdict verdict = MakeVerdictWithoutRanks(
      verdict_class, base::Round(job.state.round()), end.exit_status, end.why,
      {.job_id = job.id,
       .host = context.here.host,
       .log_directory = log_directory.empty() ? job.path : log_directory,
       .stopped_by = "",
       .steady_now = context.clock.Now(),
       .wall_now = context.clock.WallNow(),
       .ranks = {}});
  verdict.set_world_size(job.state.rank_count());
  return verdict;
}

void SayIfFailed(const base::Status& written) {
  if (!written.ok()) std::fprintf(stderr, "lockstep: %s\n", written.ToString().c_str());
}

/// How the job ended, when the agent could not say so itself: no descriptor was left, it was
/// killed, there never was one.
void RecordEnd(const VerbContext& context, JobDirectory& directory, const JobEntry& job,
               const std::string& log_directory, const AgentEnd& end) {
  // Written at the very end of a job, so what is there is true, even of an agent that was killed.
  const bool judged = ::access(directory.VerdictPath().c_str(), F_OK) == 0;
  if (!judged) {
    SayIfFailed(directory.WriteVerdict(VerdictJson(VerdictOn(context, job, log_directory, end))));
  }
  proto::JobState state = job.state;
  state.set_phase(proto::JOB_PHASE_ENDED);
  state.set_exit_code(end.exit_status);
  *state.mutable_ended() = ToTimestamp(context.clock.WallNow());
  SayIfFailed(directory.WriteState(std::move(state)));
}

/// What is to be done when the agent is no more.
void TidyUp(const VerbContext& context, JobDirectory& directory, const std::string& log_directory,
            const AgentEnd& end) {
  if (end.exit_status != 0) {
    const base::Result<JobEntry> job = OpenStore(context).Get(directory.job_id());
    // Not when somebody has removed its directory.
    if (job.ok() && job->state.phase() != proto::JOB_PHASE_ENDED) {
      RecordEnd(context, directory, *job, log_directory, end);
    }
    if (job.ok() && end.how == AgentEnd::How::kKilled) RemoveJobSockets(context, job->state);
  }
  SayIfFailed(directory.Finish());
}

}  // namespace

base::Result<int> RunJob(const VerbContext& context, RunJobOptions options) {
  RETURN_IF_ERROR(MakeLogFolder(options.plan.job.spec().logs()));
  const proto::JobState state = FirstState(context, options);
  ASSIGN_OR_RETURN(JobDirectory directory, MakeJobDirectory(context, options, state));

  FrontOptions front{.detach = options.detach,
                     .detached_output_path = directory.path() + "/console.log",
                     .started_message = "job " + directory.job_id() + " started\n"};
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
  config.state.set_job_id(directory.job_id());
  config.state.set_log_directory(config.log_directory);
  config.state.set_name(plan.name);
  config.detached = options.detach;
  config.program_word = plan.program_word;
  config.jobs_root = context.jobs_root;
  config.color_stdout = !options.detach && WantsColor(config.environment, STDOUT_FILENO);
  config.color_stderr = !options.detach && WantsColor(config.environment, STDERR_FILENO);
  front.on_agent_end = [&context, directory, logs = config.log_directory](
                           const AgentEnd& end) mutable { TidyUp(context, directory, logs, end); };
  return RunFront(front, [&config](base::UniqueFd link, pid_t guard) {
    // Not this process, when that one is in the background.
    if (auto identity = IdentifyProcess(config.here, guard); identity.ok()) {
      *config.state.mutable_front() = *std::move(identity);
    }
    return RunAgent(std::move(config), std::move(link));
  });
}

}  // namespace lockstep::launcher
