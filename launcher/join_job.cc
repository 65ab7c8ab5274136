// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/join_job.h"

#include <unistd.h>

#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include "launcher/agent/member_agent.h"
#include "launcher/agent/rank_setup.h"
#include "launcher/front/front.h"
#include "launcher/guard_member.h"
#include "launcher/placement/meeting.h"
#include "launcher/run_parts.h"

namespace lockstep::launcher {
namespace {

/// Where ranks start, absolute.
std::string FolderOf(const proto::Program& program, const std::string& here) {
  return (std::filesystem::path(here) / program.working_directory()).lexically_normal().string();
}

/// The file that the job brings, which is compared with the other nodes'. A PATH of the job's own
/// is for its ranks alone.
void SetProgram(const JobPlan& plan, proto::Bootstrap* bootstrap) {
  if (!plan.program_word) return;
  const std::string& name = plan.arguments[static_cast<size_t>(*plan.program_word)];
  const bool has_path = VariablesOf(plan.job.spec().program()).contains("PATH");
  if (name.find('/') == std::string::npos && has_path) return;
  bootstrap->set_program(name);
  bootstrap->set_program_word(*plan.program_word);
}

proto::Bootstrap BootstrapOf(const RunJobOptions& options, const std::string& here) {
  const Meeting& meeting = *options.meeting;
  const JobPlan& plan = options.plan;
  proto::Bootstrap bootstrap;
  bootstrap.set_job_id(meeting.id);
  bootstrap.set_job_name(plan.name);
  bootstrap.add_coordinators(meeting.endpoint.ToString());
  bootstrap.set_node(meeting.node_rank);
  bootstrap.set_slots(plan.job.spec().gang().processes_per_node().count());
  bootstrap.set_working_directory(FolderOf(plan.job.spec().program(), here));
  bootstrap.set_working_directory_is_wanted(true);
  SetProgram(plan, &bootstrap);
  bootstrap.set_color_stdout(!options.detach && WantsColor(plan.environment, STDOUT_FILENO));
  bootstrap.set_color_stderr(!options.detach && WantsColor(plan.environment, STDERR_FILENO));
  return bootstrap;
}

}  // namespace

base::Result<int> JoinJob(const VerbContext& context, RunJobOptions options) {
  RETURN_IF_ERROR(MakeLogFolder(options.plan.job.spec().logs()));
  std::error_code error;
  const std::string here = std::filesystem::current_path(error).string();
  FrontOptions front;
  front.detach = options.detach;
  // The job's directory is not known yet; hidden from those who list jobs until it is.
  front.detached_output_path = context.jobs_root + "/.joining-" + std::to_string(::getpid());
  MemberAgentConfig config;
  config.bootstrap = BootstrapOf(options, here);
  Meeting& meeting = *options.meeting;
  JobPlan& plan = options.plan;
  config.own_line.emplace(
      OwnLine{.key = std::exchange(meeting.key, std::nullopt),
              .spec = plan.job.spec(),
              .spec_text = std::move(options.spec_text),
              .arguments = plan.arguments,
              .address = meeting.address,
              .join_timeout = meeting.join_timeout,
              .state = FirstState(context, plan),
              .folder = here,
              .console_path = options.detach ? front.detached_output_path : ""});
  config.environment = std::move(plan.environment);
  config.here = context.here;
  config.jobs_root = context.jobs_root;
  config.socket_directory = context.socket_directory;
  base::Result<int> status = GuardMember(std::move(config), front);
  // What it became has a name in the job's directory, and else was printed.
  if (options.detach) (void)::unlink(front.detached_output_path.c_str());
  return status;
}

}  // namespace lockstep::launcher
