// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/exec/exec_program.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "launcher/agent/job_record.h"
#include "launcher/agent/program_file.h"
#include "launcher/agent/socket_folder.h"
#include "launcher/config/program_arguments.h"
#include "launcher/exec/adopting_agent.h"
#include "launcher/exec/election.h"
#include "launcher/exec/election_secret.h"
#include "launcher/exec/launcher_process.h"
#include "launcher/exit_codes.h"
#include "launcher/mpi/program_image.h"
#include "launcher/mpi/watch_shim.h"
#include "runtime/process/proc_scan.h"
#include "runtime/process/replace_process.h"
#include "runtime/proto/job.pb.h"
#include "runtime/topology/adopted_environment.h"
#include "runtime/topology/foreign_rank.h"

namespace lockstep::launcher {
namespace {

bool IsSet(const topology::Environment& environment, const char* name) {
  const auto found = environment.find(name);
  return found != environment.end() && !found->second.empty();
}

std::string JobName(const ExecOptions& options) {
  if (!options.name.empty()) return options.name;
  proto::Program program;
  program.add_command(options.program.front());
  return DefaultJobName(program);
}

/// Which of its jobs a launcher means.
base::Result<std::string> JobKey(const ExecOptions& options, const topology::ForeignRank& rank,
                                 const topology::Environment& environment) {
  if (!options.job_key.empty()) return "given " + options.job_key;
  if (!rank.job_key.empty()) return rank.job_key;
  ASSIGN_OR_RETURN(
      const process::ProcStat launcher,
      FindLauncherProcess(::getpid(), rank.rank_variable, environment.at(rank.rank_variable)));
  return "process " + std::to_string(launcher.pid) + " started " +
         std::to_string(launcher.start_ticks);
}

base::Result<proto::AdoptRequest> MakeRequest(const ExecOptions& options,
                                              const topology::ForeignRank& rank,
                                              const topology::Environment& environment) {
  const auto self = process::ReadProcStat(::getpid());
  if (!self) return base::InternalError("look at this process: /proc cannot be read");
  proto::AdoptRequest request;
  request.set_version(kAdoptionVersion);
  ASSIGN_OR_RETURN(*request.mutable_job_key(), JobKey(options, rank, environment));
  request.set_pid(self->pid);
  request.set_start_ticks(self->start_ticks);
  request.set_rank(rank.rank.value());
  request.set_world_size(rank.world_size);
  request.set_local_rank(rank.local_rank.value());
  request.set_local_world_size(rank.local_world_size);
  if (rank.node_index) request.set_node_index(rank.node_index->value());
  if (rank.node_count) request.set_node_count(*rank.node_count);
  request.set_launcher(std::string(topology::ForeignLauncherName(rank.launcher)));
  request.set_command(CommandText(options.program));
  request.set_name(JobName(options));
  request.set_name_is_users(!options.name.empty());
  request.set_checkpoint_directory(options.checkpoint_directory);
  proto::AdoptedHangs& hangs = *request.mutable_hangs();
  hangs.set_kills(options.kills_hung);
  hangs.set_grace_ns(options.hang_grace.count());
  hangs.set_action_after_ns(options.hang_action_after.count());
  hangs.set_init_deadline_ns(options.hang_init_deadline.count());
  hangs.set_deadline_ns(options.hang_deadline.count());
  request.set_wants_master_port(topology::NeedsMasterPort(rank, environment));
  return request;
}

base::Result<proto::Adopted> MeetJobsAgent(const VerbContext& context,
                                           const proto::AdoptRequest& request) {
  const base::Result<base::SipKey> secret = ElectionSecret(context.socket_directory);
  if (!secret.ok()) return SocketTrouble(secret.status());
  Election election;
  election.address = ElectionAddress(::getuid(), *secret, request.job_key());
  election.agent = [&](base::UniqueFd listener) {
    return RunAdoptingAgent({.address = election.address,
                             .job_key = request.job_key(),
                             .jobs_root = context.jobs_root,
                             .socket_directory = context.socket_directory,
                             .here = context.here,
                             .files = &context.files},
                            std::move(listener));
  };
  return MeetAgent(election, request, context.clock);
}

base::Result<topology::Environment> Adopt(const VerbContext& context, const ExecOptions& options,
                                          const topology::Environment& environment) {
  ASSIGN_OR_RETURN(const topology::ForeignRank rank, topology::FindForeignRank(environment));
  ASSIGN_OR_RETURN(const proto::AdoptRequest request, MakeRequest(options, rank, environment));
  ASSIGN_OR_RETURN(const proto::Adopted adopted, MeetJobsAgent(context, request));
  const bool has_meeting_place = rank.is_on_one_node() || (IsSet(environment, "MASTER_ADDR") &&
                                                           IsSet(environment, "MASTER_PORT"));
  if (!has_meeting_place && rank.rank == base::Rank(0)) {
    std::fprintf(context.err,
                 "lockstep: note: the ranks are on several hosts, and MASTER_ADDR and MASTER_PORT "
                 "are not set; programs that meet by them (PyTorch) need both\n");
  }
  return topology::MakeAdoptedEnvironment(rank,
                                          {.job_id = adopted.job_id(),
                                           .socket_path = adopted.socket_path(),
                                           .cookie = adopted.cookie(),
                                           .checkpoint_directory = adopted.checkpoint_directory(),
                                           .backend = options.backend,
                                           .check = options.check,
                                           .stop_grace = base::Duration(adopted.stop_grace_ns()),
                                           .master_port = adopted.master_port()},
                                          environment);
}

/// OK for a rank of `lockstep run` that no other launcher has started since.
base::Status CheckIsRankAlready(const topology::Environment& environment) {
  if (!topology::HasLaunchersVariables(environment)) return base::OkStatus();
  return base::InvalidArgumentError(
      "this process is a rank of Lockstep's job " +
      topology::Environment(environment)["LOCKSTEP_JOB_ID"] +
      " (LOCKSTEP_SOCKET is set), and another launcher's variables are there too; when this is a "
      "rank of that job, start the program without `lockstep exec`: it has its session already; "
      "when a rank of it has started the other launcher, do that by `env -u LOCKSTEP_SOCKET -u "
      "LOCKSTEP_COOKIE`");
}

ExitCode ExitCodeOfExec(const base::Status& failed) {
  switch (failed.code()) {
    case base::Code::kNotFound: return ExitCode::kNotFound;
    case base::Code::kResourceExhausted: return ExitCode::kNoResources;
    default: return ExitCode::kNotExecutable;
  }
}

/// One that is not there, or cannot be read, is told of when it is executed.
ProgramImage LookAtProgram(const std::string& name, const topology::Environment& environment) {
  const auto path = FindProgram({.name = name, .is_script = false}, environment, "");
  if (!path.ok()) return {};
  base::Result<ProgramImage> image = ReadProgramImage(*path);
  return image.ok() ? *std::move(image) : ProgramImage{};
}

bool Has(const topology::Environment& environment, const char* name, const std::string& value) {
  const auto found = environment.find(name);
  return found != environment.end() && found->second == value;
}

/// What is watched where nothing is said of it. Of ranks on several hosts those of one alone are
/// seen: each wait for another host would be told as one that cannot be explained.
std::string WatchByDefault(const topology::Environment& adopted) {
  return Has(adopted, "LOCAL_WORLD_SIZE", adopted.at("WORLD_SIZE")) ? "auto" : "off";
}

/// Has the program's calls recorded, where nothing speaks against it. All ranks are of one program:
/// the first one says what is not seen.
base::Status Watch(const VerbContext& context, const std::string& watch, const std::string& name,
                   topology::Environment& environment) {
  const ProgramImage program = LookAtProgram(name, environment);
  const std::string unwatched = WhyNotWatched(watch, program, name, environment, true);
  if (!unwatched.empty() && Has(environment, "RANK", "0"))
    std::fprintf(context.err, "lockstep: %s\n", unwatched.c_str());
  const std::string usable = WatchFor(watch, program, environment);
  RETURN_IF_ERROR(CheckWatch(usable, program, name, OwnFolder()));
  return PreloadShim(usable, OwnFolder(), environment);
}

int Become(const VerbContext& context, const std::vector<std::string>& program,
           const topology::Environment& environment) {
  const base::Status failed = process::ReplaceProcess(program, topology::ToBlock(environment));
  std::fprintf(context.err, "lockstep: %s\n", failed.message().c_str());
  return static_cast<int>(ExitCodeOfExec(failed));
}

}  // namespace

base::Result<int> ExecProgram(const VerbContext& context, const ExecOptions& options,
                              topology::Environment environment) {
  std::string watch = options.watch;
  if (IsSet(environment, "LOCKSTEP_SOCKET")) {
    // Its job has chosen already.
    RETURN_IF_ERROR(CheckIsRankAlready(environment));
  } else {
    ASSIGN_OR_RETURN(environment, Adopt(context, options, environment));
    if (watch.empty()) watch = WatchByDefault(environment);
  }
  if (!watch.empty()) RETURN_IF_ERROR(Watch(context, watch, options.program.front(), environment));
  return Become(context, options.program, environment);
}

}  // namespace lockstep::launcher
