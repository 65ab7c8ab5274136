// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// The program `lockstep`: reads the command line and the environment, once, and hands them to a
// verb.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "launcher/bench/run_bench.h"
#include "launcher/cli/bench_flags.h"
#include "launcher/cli/command_line.h"
#include "launcher/cli/help.h"
#include "launcher/cli/verb_options.h"
#include "launcher/config/gpu_count.h"
#include "launcher/config/job_file.h"
#include "launcher/config/job_plan.h"
#include "launcher/config/resolve_job.h"
#include "launcher/diagnosis/stacks/trace_refusal.h"
#include "launcher/exec/exec_program.h"
#include "launcher/exit_codes.h"
#include "launcher/jobs/job_addresses.h"
#include "launcher/jobs/jobs_root.h"
#include "launcher/join_job.h"
#include "launcher/placement/meeting.h"
#include "launcher/placement/node_plan.h"
#include "launcher/run_agent_of_node.h"
#include "launcher/run_job.h"
#include "launcher/verbs/diagnose_job.h"
#include "launcher/verbs/list_jobs.h"
#include "launcher/verbs/lost_jobs.h"
#include "launcher/verbs/remove_jobs.h"
#include "launcher/verbs/render_job.h"
#include "launcher/verbs/set_hangs.h"
#include "launcher/verbs/show_logs.h"
#include "launcher/verbs/show_metrics.h"
#include "launcher/verbs/show_stacks.h"
#include "launcher/verbs/show_status.h"
#include "launcher/verbs/show_top.h"
#include "launcher/verbs/stop_job.h"
#include "launcher/version.h"
#include "runtime/base/clock.h"
#include "runtime/base/logging.h"
#include "runtime/net/own_addresses.h"
#include "runtime/net/socket_directory.h"
#include "runtime/proto/problem.h"
#include "runtime/proto/quiet_parser.h"
#include "runtime/storage/file_system.h"
#include "runtime/topology/cpu_count.h"
#include "runtime/topology/environment.h"

namespace lockstep::launcher {
namespace {

int Fail(const base::Status& status) {
  std::fprintf(stderr, "lockstep: %s\n", status.message().c_str());
  return static_cast<int>(ExitCodeOf(status));
}

std::string Get(const topology::Environment& environment, const char* name) {
  const auto found = environment.find(name);
  return found == environment.end() ? "" : found->second;
}

base::Status PrintHelp(const Command& command) {
  if (command.operands.empty()) {
    std::fputs(HelpOnAll().c_str(), stdout);
    return base::OkStatus();
  }
  const VerbSpec* verb = FindVerb(command.operands.front());
  if (verb == nullptr) {
    return base::InvalidArgumentError("there is no verb " + command.operands.front() +
                                      "; `lockstep help` lists them");
  }
  std::fputs(HelpOnVerb(*verb).c_str(), stdout);
  return base::OkStatus();
}

base::Result<ResolvedJob> Resolve(const Command& command,
                                  const topology::Environment& environment) {
  JobInputs inputs{.command = command, .environment = environment, .machine = [&environment] {
                     return MachineFacts{topology::CpuCount(), GpuCount("/dev", environment)};
                   }};
  if (const std::optional<std::string> path = command.Value("--file")) {
    ASSIGN_OR_RETURN(inputs.file, ReadJobFile(*path));
  }
  if (const std::optional<std::string> path = command.Value("--hostfile")) {
    ASSIGN_OR_RETURN(inputs.host_file, ReadJobFile(*path));
  }
  return ResolveJob(inputs);
}

/// The job, and what is to be said of it; nothing when the user wanted to see that and no more.
base::Result<std::optional<ResolvedJob>> ResolveAndTell(const Command& command,
                                                        const topology::Environment& environment) {
  ASSIGN_OR_RETURN(ResolvedJob resolved, Resolve(command, environment));
  for (const std::string& note : resolved.notes) {
    std::fprintf(stderr, "lockstep: note: %s\n", note.c_str());
  }
  if (!command.IsOn("--print-config")) return std::optional(std::move(resolved));
  std::fputs(PrintConfig(resolved).c_str(), stdout);
  return std::optional<ResolvedJob>();
}

/// Of nodes that come by themselves.
base::Result<Meeting> Arrange(const proto::JobSpec& spec, const ThisNode& node,
                              const VerbContext& context) {
  const auto say = [&context](const std::string& line) {
    std::fprintf(context.err, "lockstep: %s\n", line.c_str());
  };
  ASSIGN_OR_RETURN(
      Meeting meeting,
      ArrangeMeeting(
          spec,
          {.node_rank = node.node_rank, .address = node.address, .is_here = node.holds_coordinator},
          {.clock = context.clock,
           .is_this_machine = net::IsThisMachine,
           .host_name = context.here.host,
           .sleep = [](base::Duration time) { std::this_thread::sleep_for(time); },
           .say = say}));
  if (!meeting.key) {
    say("note: --allow-plain: whoever reaches " + meeting.endpoint.ToString() +
        " may take part in this job, and read along");
  }
  return meeting;
}

base::Result<int> Run(const VerbContext& context, const Command& command,
                      topology::Environment environment) {
  ASSIGN_OR_RETURN(std::optional<ResolvedJob> resolved, ResolveAndTell(command, environment));
  if (!resolved) return 0;
  RunJobOptions options;
  options.spec_text = PrintConfig(*resolved);
  options.detach = command.IsOn("--detach");
  const ThisNode node = std::move(resolved->this_node);
  options.plan = PlanJob(std::move(resolved->job), std::move(environment), context.here.host);
  const proto::JobSpec& spec = options.plan.job.spec();
  if (!spec.placement().has_join()) return RunJob(context, std::move(options));
  ASSIGN_OR_RETURN(options.meeting, Arrange(spec, node, context));
  if (!options.meeting->is_here) return JoinJob(context, std::move(options));
  TakePlace(*options.meeting, context.here.host, &options.plan.nodes);
  return RunJob(context, std::move(options));
}

base::Status Render(const VerbContext& context, const Command& command,
                    topology::Environment environment) {
  ASSIGN_OR_RETURN(std::optional<ResolvedJob> resolved, ResolveAndTell(command, environment));
  if (!resolved) return base::OkStatus();
  ASSIGN_OR_RETURN(const RenderJobOptions options, RenderJobOptionsOf(command));
  return RenderJob(context,
                   PlanJob(std::move(resolved->job), std::move(environment), context.here.host),
                   options);
}

base::Result<int> Bench(const VerbContext& context, const Command& command,
                        topology::Environment environment) {
  ASSIGN_OR_RETURN(BenchOptions options, BenchOptionsOf(command));
  for (const GivenFlag& given : command.flags) {
    options.command_line.push_back(given.spelling);
    if (!given.flag->is_switch()) options.command_line.push_back(given.value);
  }
  return RunBench(context, options, std::move(environment));
}

base::Result<int> Dispatch(const VerbContext& context, const Command& command,
                           topology::Environment environment) {
  // Those of a verb that takes a job are told together with what is wrong with that.
  if (command.verb != Verb::kRun && command.verb != Verb::kRender) {
    RETURN_IF_ERROR(proto::ProblemsToStatus(command.problems));
  }
  switch (command.verb) {
    case Verb::kRun: return Run(context, command, std::move(environment));
    case Verb::kRender: RETURN_IF_ERROR(Render(context, command, std::move(environment))); break;
    case Verb::kExec: {
      ASSIGN_OR_RETURN(const ExecOptions options, ExecOptionsOf(command));
      return ExecProgram(context, options, std::move(environment));
    }
    case Verb::kPs: RETURN_IF_ERROR(ListJobs(context, ListJobsOptionsOf(command))); break;
    case Verb::kStatus: RETURN_IF_ERROR(ShowStatus(context, ShowStatusOptionsOf(command))); break;
    case Verb::kTop: RETURN_IF_ERROR(ShowTop(context, ShowTopOptionsOf(command))); break;
    case Verb::kMetrics:
      RETURN_IF_ERROR(ShowMetrics(context, ShowMetricsOptionsOf(command)));
      break;
    case Verb::kStacks: {
      ASSIGN_OR_RETURN(ShowStacksOptions options, ShowStacksOptionsOf(command));
      options.path = Get(environment, "PATH");
      options.may_trace = MayTraceStrangers();
      RETURN_IF_ERROR(ShowStacks(context, options));
      break;
    }
    case Verb::kDiagnose:
      RETURN_IF_ERROR(DiagnoseJob(context, DiagnoseJobOptionsOf(command)));
      break;
    case Verb::kLogs: {
      ASSIGN_OR_RETURN(const ShowLogsOptions options, ShowLogsOptionsOf(command));
      RETURN_IF_ERROR(ShowLogs(context, options));
      break;
    }
    case Verb::kHangs: {
      ASSIGN_OR_RETURN(const SetHangsOptions options, SetHangsOptionsOf(command));
      RETURN_IF_ERROR(SetHangs(context, options));
      break;
    }
    case Verb::kStop: RETURN_IF_ERROR(StopJob(context, StopJobOptionsOf(command))); break;
    case Verb::kRm: RETURN_IF_ERROR(RemoveJob(context, RemoveJobOptionsOf(command))); break;
    case Verb::kPrune: {
      ASSIGN_OR_RETURN(const PruneJobsOptions options, PruneJobsOptionsOf(command));
      RETURN_IF_ERROR(PruneJobs(context, options));
      break;
    }
    case Verb::kBench: return Bench(context, command, std::move(environment));
    case Verb::kVersion: std::printf("lockstep %s\n", std::string(kVersion).c_str()); break;
    case Verb::kHelp: RETURN_IF_ERROR(PrintHelp(command)); break;
  }
  return 0;
}

/// Opens what verbs work with and carries the command out.
base::Result<int> CarryOut(const Command& command, topology::Environment environment) {
  const base::RealClock clock;
  storage::RealFileSystem files;
  base::Result<JobsRoot> root = FindJobsRoot({.lockstep_home = Get(environment, "LOCKSTEP_HOME"),
                                              .xdg_state_home = Get(environment, "XDG_STATE_HOME"),
                                              .home = Get(environment, "HOME")},
                                             ::getuid());
  if (!root.ok()) return CannotWrite(root.status());
  // Not of `exec`: each of many ranks would say it.
  if (!root->note.empty() && command.verb != Verb::kExec) {
    std::fprintf(stderr, "lockstep: note: %s\n", root->note.c_str());
  }
  // A detached job may outlive its user's log-in, and XDG_RUNTIME_DIR goes with that.
  const bool detaches = command.verb == Verb::kRun && command.IsOn("--detach");
  base::Result<std::string> sockets = net::SocketDirectory(
      detaches ? "" : Get(environment, "XDG_RUNTIME_DIR"), ::getuid(), kSocketNameBytesMax);
  if (!sockets.ok()) return CannotWrite(sockets.status());
  const VerbContext context{.jobs_root = std::move(root->path),
                            .socket_directory = *std::move(sockets),
                            .here = ThisHost(),
                            .clock = clock,
                            .files = files,
                            .out = stdout,
                            .err = stderr};
  SweepLostJobs(context);
  return Dispatch(context, command, std::move(environment));
}

/// Some are started without (by daemons, by `>&-`); the first file that we open would be taken for
/// the missing one.
void FillStandardStreams() {
  int fd = -1;
  do {
    fd = ::open("/dev/null", O_RDWR);  // NOLINT(android-cloexec-open): for children too
  } while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd > STDERR_FILENO) ::close(fd);
}

topology::Environment OwnEnvironment() {
  std::vector<std::string> block;
  for (char** pair = environ; *pair != nullptr; ++pair) block.emplace_back(*pair);
  return topology::ParseEnvironment(block);
}

int Main(int argc, char** argv) {
  FillStandardStreams();
  proto::SilenceParser();
  const std::vector<std::string> words(argv + (argc > 0 ? 1 : 0), argv + argc);
  if (words == std::vector<std::string>{"agent"}) {
    // Typed by nobody: `lockstep run` starts it on the other nodes of a job.
    base::InitLogging(argv[0], {.role = "agent"});
    const base::Result<int> done = RunAgentOfNode(OwnEnvironment());
    return done.ok() ? *done : Fail(done.status());
  }
  base::Result<Command> command = ParseCommandLine(words);
  if (!command.ok()) return Fail(command.status());
  if (command->verb == Verb::kVersion || command->verb == Verb::kHelp) {
    // These need nothing of the machine, so that they work where nothing else does.
    const base::RealClock clock;
    storage::RealFileSystem files;
    const VerbContext nothing{.clock = clock, .files = files, .out = stdout, .err = stderr};
    const base::Result<int> done = Dispatch(nothing, *command, {});
    return done.ok() ? *done : Fail(done.status());
  }
  base::InitLogging(argv[0], {.role = "lockstep"});
  const base::Result<int> done = CarryOut(*command, OwnEnvironment());
  return done.ok() ? *done : Fail(done.status());
}

}  // namespace
}  // namespace lockstep::launcher

int main(int argc, char** argv) {
  // A limit on the size of files (ulimit -f) is to be an error like a full disk, not our death. Who
  // becomes another program would hand that on to it.
  const bool becomes_program = argc > 1 && std::string_view(argv[1]) == "exec";
  if (!becomes_program) ::signal(SIGXFSZ, SIG_IGN);
  int status = lockstep::launcher::Main(argc, argv);
  if ((std::fflush(stdout) != 0 || std::ferror(stdout) != 0) && status == 0) {
    std::perror("lockstep: write standard output");
    status = static_cast<int>(lockstep::launcher::ExitCode::kCannotWrite);
  }
  // Not exit(): the kernel frees in one go what the libraries' destructors would free piece by
  // piece, some 0.05 ms.
  ::_exit(status);
}
