// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/agent.h"

#include <pwd.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "elastic/gang.h"
#include "launcher/agent/control_server.h"
#include "launcher/agent/gang_driver.h"
#include "launcher/agent/gang_status.h"
#include "launcher/agent/job_events.h"
#include "launcher/agent/job_record.h"
#include "launcher/agent/rank_processes.h"
#include "launcher/agent/rank_setup.h"
#include "launcher/attach/attach_server.h"
#include "launcher/exit_codes.h"
#include "launcher/front/front_link.h"
#include "launcher/jobs/job_addresses.h"
#include "launcher/verdict/error_file.h"
#include "launcher/verdict/root_cause.h"
#include "launcher/verdict/screen.h"
#include "launcher/version.h"
#include "runtime/base/clock.h"
#include "runtime/base/logging.h"
#include "runtime/event/epoll_loop.h"
#include "runtime/event/signal_source.h"
#include "runtime/net/port_claim.h"
#include "runtime/process/output_pump.h"
#include "runtime/process/real_processes.h"
#include "runtime/process/stdin_forwarder.h"
#include "runtime/proto/duration_text.h"
#include "runtime/telemetry/event_log.h"
#include "runtime/topology/cpu_count.h"
#include "runtime/topology/world.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;

// A reader of our output (a pager, a stopped terminal) may take its time; a second signal ends the
// wait.
constexpr base::Duration kFlushDeadline = 10min;

constexpr const char* kTerminal = "the terminal";

bool IsStop(int signal) {
  return signal == SIGINT || signal == SIGTERM || signal == SIGHUP || signal == SIGQUIT;
}

int ExitStatusOf(const base::Status& status) {
  switch (status.code()) {
    case base::Code::kResourceExhausted: return static_cast<int>(ExitCode::kNoResources);
    case base::Code::kPermissionDenied: return static_cast<int>(ExitCode::kCannotWrite);
    default: return static_cast<int>(ExitCode::kUnavailable);
  }
}

std::string HomeOfUser() {
  const passwd* user = ::getpwuid(::getuid());
  return user != nullptr ? user->pw_dir : "";
}

/// One job on this machine: owns every part and passes each one's news on to the others. What to do
/// is decided by elastic::Step and done by GangDriver; what is said and written down is done here.
class Agent final : public GangDelegate, public RankHooks, public ControlTarget {
 public:
  Agent(AgentConfig config, base::UniqueFd link, const base::Clock& clock, event::Loop& loop)
      : config_(std::move(config)),
        clock_(clock),
        loop_(loop),
        link_(std::move(link)),
        record_({.directory = config_.directory,
                 .state = config_.state,
                 .here = config_.here,
                 .socket_path = ControlSocketPath(config_.socket_directory, job_id()),
                 .spec_text = config_.spec_text,
                 .log_directory = config_.log_directory},
                loop,
                // One message is enough for a disk that is full.
                [this](const base::Status& why) {
                  Say("the job directory is incomplete, the job goes on: " + why.ToString());
                }) {}

  /// Opens everything that can fail before a rank starts.
  base::Status Open();
  /// Writes down that Open() failed; returns the exit status.
  int GiveUp(const base::Status& why);
  /// Runs the job to its end. Returns the exit status.
  int Run();

  base::Status BeginRound(base::Round round, int restart_count) override;
  base::Result<PreparedSpawn> Prepare(const elastic::RankProcess& process) override;
  void OnRankSpawned(const elastic::RankProcess& process, pid_t pid) override;
  void OnRankSpawnFailed(const elastic::RankProcess& process, const base::Status& error) override;
  RankEnd OnRankExited(const elastic::RankProcess& process, pid_t pid,
                       const process::Exit& exit) override;
  void OnRanksSignalled(int signal, bool whole_tree,
                        const std::vector<elastic::RankProcess>& processes) override;

  void OnStopRequested(base::Duration grace) override { attach_->RequestStop(grace); }
  void OnRoundGone() override;

  void OnRoundBegins(const elastic::SpawnRanks& round) override;
  void OnAllSpawned() override;
  void PersistRestarts(int used) override;
  void OnNotice(const elastic::Notice& notice) override;
  void OnRoundEnded(const elastic::RoundOutcome& outcome,
                    std::map<base::Rank, RankEvidence> evidence) override;
  void OnJobEnded(const elastic::JobOutcome& outcome) override;

  proto::StatusReply GetStatus() const override;
  proto::StopReply StopByVerb(const proto::StopRequest& request) override;

 private:
  const proto::JobSpec& spec() const { return config_.job.spec(); }
  const std::string& job_id() const { return config_.directory.job_id(); }
  // What is told of a round comes when the gang's state may already be that of the next.
  base::Round round() const { return facts_.round; }

  void RaiseFileLimit();
  base::Status ClaimMasterPort();
  base::Status OpenAttach();
  void LogJobStarted();
  void OnLinkReadable();
  void OnFrontByte(uint8_t byte);
  void OnSignal(int signal, const std::string& source);
  void Stop(int signal, bool at_once, const std::string& source, const std::string& reason);
  void OnOutputTrouble(process::OutputPump::Sink sink, const base::Status& why);

  RankFiles FilesOf(base::Rank rank) const;
  topology::Environment EnvironmentOf(const elastic::RankProcess& process);
  RankEvidence EvidenceOf(base::Rank rank) const;
  RoundFacts Facts() const;

  void Log(proto::Event event) { events_->Append(round(), std::move(event)); }
  /// A line of ours on the console.
  void Say(const std::string& text) { output_->Print("lockstep: " + text); }
  void Finish(int exit_status);

  AgentConfig config_;
  const base::Clock& clock_;
  event::Loop& loop_;
  base::UniqueFd link_;
  topology::WorldSpec world_;
  std::vector<topology::RankPlace> places_;
  topology::JobFacts facts_;
  std::optional<proto::Verdict> last_verdict_;
  base::SteadyTime started_at_{};
  int exit_status_ = static_cast<int>(ExitCode::kInternal);
  std::string stopped_by_;  // as RoundFacts has it
  rlimit rank_files_{};     // limit of descriptors, as it was given to us
  bool started_told_ = false;
  bool folder_failed_ = false;  // of this round
  bool finishing_ = false;      // the job has ended; only output is left to write

  // Destroyed in the opposite order, so that nobody calls what is gone.
  JobRecord record_;
  std::optional<net::PortClaim> port_;
  std::unique_ptr<telemetry::EventLog> events_;
  std::unique_ptr<process::OutputPump> output_;
  std::unique_ptr<process::RealProcesses> processes_;
  std::unique_ptr<process::StdinForwarder> stdin_;
  std::unique_ptr<AttachServer> attach_;
  std::unique_ptr<GangDriver> driver_;
  std::unique_ptr<RankProcesses> ranks_;
  std::unique_ptr<ControlServer> control_;
  std::unique_ptr<event::SignalSource> signals_;
  event::Registration link_watch_;
};

// -------------------------------------------------------------------------------------------
// opening

base::Status Agent::Open() {
  RaiseFileLimit();
  events_ = std::make_unique<telemetry::EventLog>(
      telemetry::EventLog::Options{.path = config_.directory.EventsPath(),
                                   .job_id = job_id(),
                                   .host = config_.here.host,
                                   .on_trouble =
                                       [this](const base::Status& why) {
                                         Say("the event log is incomplete: " + why.ToString());
                                       }},
      loop_);
  ASSIGN_OR_RETURN(
      output_, process::OutputPump::Create(
                   {.rank_count = config_.rank_count,
                    .color_stdout = config_.color_stdout,
                    .color_stderr = config_.color_stderr,
                    .on_trouble = [this](process::OutputPump::Sink sink,
                                         const base::Status& why) { OnOutputTrouble(sink, why); }},
                   loop_));
  ASSIGN_OR_RETURN(processes_, process::RealProcesses::Create({.mark = JobMark(job_id())}, loop_));
  driver_ = std::make_unique<GangDriver>(GangConfigOf(spec(), config_.rank_count, config_.seed),
                                         GangDriver::Deps{loop_, *this});
  ranks_ =
      std::make_unique<RankProcesses>(RankProcesses::Deps{loop_, *processes_, *this, *driver_});
  if (spec().logs().stdin_reader().has_rank()) {
    ASSIGN_OR_RETURN(stdin_, process::StdinForwarder::Create(STDIN_FILENO, loop_));
    stdin_->SetPaused(::isatty(STDIN_FILENO) == 1);  // until the front says whose input it is
  }
  RETURN_IF_ERROR(ClaimMasterPort());
  RETURN_IF_ERROR(OpenAttach());
  ASSIGN_OR_RETURN(
      control_,
      ControlServer::Create(ControlSocketPath(config_.socket_directory, job_id()), *this, loop_));
  // Sent to the agent itself, by `kill` or by a service manager that signals a whole unit.
  ASSIGN_OR_RETURN(signals_, event::SignalSource::Create(loop_, {SIGINT, SIGTERM, SIGHUP, SIGQUIT},
                                                         [this](const event::Signal& signal) {
                                                           OnSignal(signal.number,
                                                                    "a signal to the agent");
                                                         }));
  link_watch_ =
      loop_.Watch(link_.get(), {.readable = true}, [this](event::Readiness) { OnLinkReadable(); });

  facts_.job_id = job_id();
  facts_.max_restarts = spec().restart().max_restarts();
  facts_.checkpoint_directory = spec().checkpoint().directory();
  facts_.stop_grace = proto::FromProto(spec().grace().user_stop());
  facts_.node_cores = topology::CpuCount();
  if (!config_.environment.contains("HOME")) facts_.home = HomeOfUser();
  return base::OkStatus();
}

/// We hold some eight descriptors for each rank; the soft limit is there for programs that use
/// select(), and ranks get it back.
void Agent::RaiseFileLimit() {
  ::getrlimit(RLIMIT_NOFILE, &rank_files_);
  rlimit all = rank_files_;
  all.rlim_cur = all.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &all);
}

base::Status Agent::ClaimMasterPort() {
  world_.nodes = {{.host = config_.here.host, .slots = config_.rank_count}};
  world_.role = spec().gang().role();
  world_.master_address =
      spec().gang().has_master_address() ? spec().gang().master_address() : "127.0.0.1";
  world_.master_port = spec().gang().master_port();
  places_ = topology::PlaceRanks(world_);
  if (spec().gang().has_master_port()) return base::OkStatus();
  ASSIGN_OR_RETURN(net::PortClaim claim, net::PortClaim::Create(job_id(), net::ReadKernelPorts()));
  world_.master_port = claim.port();
  port_ = std::move(claim);
  return base::OkStatus();
}

base::Status Agent::OpenAttach() {
  AttachServer::Config config;
  config.socket_path = AttachSocketPath(config_.socket_directory, job_id());
  config.job_id = job_id();
  config.host = config_.here.host;
  config.boot_id = config_.here.boot_id;
  config.checkpoint_directory = spec().checkpoint().directory();
  config.on_progress = [this](base::Rank rank, base::Incarnation incarnation, int64_t step) {
    driver_->OnProgress({rank, incarnation}, step);
  };
  ASSIGN_OR_RETURN(attach_, AttachServer::Create(std::move(config), loop_));
  return base::OkStatus();
}

void Agent::LogJobStarted() {
  proto::Event event;
  proto::JobStarted& started = *event.mutable_job_started();
  started.set_name(config_.state.name());
  for (const std::string& word : config_.arguments) started.add_command(word);
  started.set_rank_count(config_.rank_count);
  started.set_max_restarts(facts_.max_restarts);
  started.set_lockstep_version(std::string(kVersion));
  started.set_agent_pid(::getpid());
  started.set_containment(processes_->containment());
  started.set_master_port(world_.master_port);
  Log(std::move(event));
}

/// Says it in the places where one looks for the end of a job.
int Agent::GiveUp(const base::Status& why) {
  std::fprintf(stderr, "lockstep: %s\n", why.ToString().c_str());
  // What we hold may be what there was too little of: the files below want a descriptor.
  link_watch_.reset();
  signals_.reset();
  control_.reset();
  attach_.reset();
  const int exit_status = ExitStatusOf(why);
  const proto::Verdict verdict = MakeVerdictWithoutRanks(proto::Verdict::LAUNCH_FAILED, round(),
                                                         exit_status, why.ToString(), Facts());
  if (const base::Status written = record_.GiveUp(verdict, exit_status); !written.ok()) {
    std::fprintf(stderr, "lockstep: %s\n", written.ToString().c_str());
  }
  return exit_status;
}

int Agent::Run() {
  started_at_ = loop_.Now();
  LogJobStarted();
  driver_->Start(std::vector<NodeRanks*>(static_cast<size_t>(config_.rank_count), ranks_.get()));
  loop_.Run();
  events_->Flush();
  return exit_status_;
}

// --------------------------------------------------------------------------------- who may tell us

void Agent::OnLinkReadable() {
  uint8_t byte = 0;
  ReadOutcome outcome = ReadOutcome::kNothingYet;
  while ((outcome = ReadByte(link_.get(), &byte)) == ReadOutcome::kByte) {
    OnFrontByte(byte);
  }
  if (outcome != ReadOutcome::kClosed) return;
  link_watch_.reset();
  Stop(SIGTERM, false, "the death of `lockstep run` itself", "its process is gone");
}

void Agent::OnFrontByte(uint8_t byte) {
  switch (static_cast<FrontNews>(byte)) {
    case FrontNews::kInForeground:
    case FrontNews::kInBackground:
      if (stdin_) stdin_->SetPaused(static_cast<FrontNews>(byte) == FrontNews::kInBackground);
      return;
  }
  OnSignal(byte, kTerminal);
}

void Agent::OnSignal(int signal, const std::string& source) {
  if (IsStop(signal)) {
    Stop(signal, false, source, "");
  } else if (signal == SIGTSTP) {
    driver_->Suspend();
    SendByte(link_.get(), static_cast<uint8_t>(AgentNews::kSuspended));
  } else if (signal == SIGCONT) {
    driver_->Resume();
  } else {
    driver_->ForwardSignal(signal);
  }
}

void Agent::Stop(int signal, bool at_once, const std::string& source, const std::string& reason) {
  if (finishing_) {  // nothing is left but somebody who does not read our output
    loop_.Quit();
    return;
  }
  Log(StopRequestedEvent(signal, at_once, source, reason));
  if (stopped_by_.empty()) stopped_by_ = source == kTerminal ? "" : source;
  driver_->RequestStop(signal, at_once, facts_.stop_grace);
}

proto::StopReply Agent::StopByVerb(const proto::StopRequest& request) {
  Stop(request.signal() == 0 ? SIGTERM : request.signal(), request.at_once(), "`lockstep stop`",
       request.reason());
  proto::StopReply reply;
  reply.set_grace_ns(request.at_once() ? 0 : facts_.stop_grace.count());
  return reply;
}

void Agent::OnOutputTrouble(process::OutputPump::Sink sink, const base::Status& why) {
  const bool files = sink == process::OutputPump::Sink::kFiles;
  Log(OutputTroubleEvent(files ? "files" : "console", why));
  if (files) Say("the ranks' log files stopped, the job goes on: " + why.ToString());
}

// ------------------------------------------------------------------------------- life of the gang

void Agent::OnRoundBegins(const elastic::SpawnRanks& round) {
  facts_.round = round.round;
  facts_.restart_count = round.restart_count;
  record_.SetRound(round.round);
  Log(RoundStartedEvent(round));
}

base::Status Agent::BeginRound(base::Round round, int) {
  const base::Status made = record_.MakeRoundFolder(round);
  folder_failed_ = !made.ok();
  return made;
}

RankFiles Agent::FilesOf(base::Rank rank) const {
  return RankFilesOf(record_.RoundFolder(round()), rank);
}

topology::Environment Agent::EnvironmentOf(const elastic::RankProcess& process) {
  const topology::RankPlace& place = places_[static_cast<size_t>(process.rank.value())];
  AttachServer::RankWorld rank;
  rank.rank = process.rank;
  rank.local_rank = place.local_rank;
  rank.incarnation = process.incarnation;
  rank.round = facts_.round;
  rank.world_size = config_.rank_count;
  rank.local_world_size = place.local_world_size;
  rank.restart_count = facts_.restart_count;
  return topology::MakeRankEnvironment(world_, facts_,
                                       {.place = place,
                                        .incarnation = process.incarnation,
                                        .socket_path = attach_->socket_path(),
                                        .cookie = attach_->AddRank(rank),
                                        .error_file = FilesOf(process.rank).error},
                                       config_.environment, VariablesOf(spec().program()));
}

base::Result<PreparedSpawn> Agent::Prepare(const elastic::RankProcess& process) {
  const base::Rank rank = process.rank;
  PreparedSpawn prepared;
  process::SpawnSpec& spawn = prepared.spec;
  spawn.name = "rank-" + rank.ToString();
  spawn.arguments = config_.arguments;
  spawn.working_directory = spec().program().working_directory();
  spawn.environment = topology::ToBlock(EnvironmentOf(process));
  if (rank_files_.rlim_cur != rank_files_.rlim_max) {
    spawn.limits.push_back({RLIMIT_NOFILE, rank_files_});
  }
  const auto give = [&prepared](base::UniqueFd fd, int number) {
    prepared.spec.fds.push_back({fd.get(), number});
    prepared.fds.push_back(std::move(fd));
  };
  ASSIGN_OR_RETURN(process::RankOutputFds output,
                   output_->Open(OutputPlanOf(spec().logs(), rank,
                                              places_[static_cast<size_t>(rank.value())].local_rank,
                                              config_.rank_count, FilesOf(rank))));
  give(std::move(output.standard_output), STDOUT_FILENO);
  give(std::move(output.standard_error), STDERR_FILENO);
  if (stdin_ != nullptr && spec().logs().stdin_reader().rank() == rank.value()) {
    ASSIGN_OR_RETURN(base::UniqueFd input, stdin_->Open());
    give(std::move(input), STDIN_FILENO);
  }
  return prepared;
}

void Agent::OnRankSpawned(const elastic::RankProcess& process, pid_t pid) {
  Log(RankSpawnedEvent(process, pid));
}

void Agent::OnRankSpawnFailed(const elastic::RankProcess& process, const base::Status& error) {
  Log(RankSpawnFailedEvent(process, error));
}

void Agent::OnAllSpawned() {
  const bool first = !std::exchange(started_told_, true);
  if (first && config_.detached) {
    // Before the front that was typed ends: it is the one process that the state names so far, and
    // the next command would take the job for lost.
    record_.SaveRunning();
  } else {
    record_.SaveRunningSoon();
  }
  if (!first) return;
  SendByte(link_.get(), static_cast<uint8_t>(AgentNews::kStarted));
  // Off the path on which the ranks are launched: what follows is done while they load.
  record_.SaveSpec();
  events_->Flush();
}

RankEnd Agent::OnRankExited(const elastic::RankProcess& process, pid_t pid,
                            const process::Exit& exit) {
  Log(RankExitedEvent(process, pid, exit));
  RankEnd end{.exit = {exit.code, exit.signal, exit.out_of_memory, ""}, .evidence = {}};
  if (end.exit.ok()) return end;
  output_->ReadNow(process.rank);
  end.evidence = EvidenceOf(process.rank);
  end.exit.fingerprint = Fingerprint(end.exit, end.evidence);
  return end;
}

void Agent::OnRanksSignalled(int signal, bool whole_tree,
                             const std::vector<elastic::RankProcess>& processes) {
  Log(SignalSentEvent(signal, whole_tree, processes));
}

void Agent::PersistRestarts(int used) { record_.SaveRestarts(used); }

void Agent::OnNotice(const elastic::Notice& notice) {
  const std::string text = NoticeText(notice, config_.rank_count, job_id());
  Say(text);
  Log(NoticeEvent(notice, text));
}

RankEvidence Agent::EvidenceOf(base::Rank rank) const {
  const RankFiles files = FilesOf(rank);
  RankEvidence evidence;
  evidence.stderr_lines = output_->LastStderrLines(rank, kStderrLines);
  if (base::Result<ErrorFile> error = ReadErrorFile(files.error); error.ok()) {
    evidence.error = *std::move(error);
  }
  evidence.stderr_path = files.standard_error;
  return evidence;
}

RoundFacts Agent::Facts() const {
  RoundFacts facts;
  facts.job_id = job_id();
  facts.host = config_.here.host;
  facts.log_directory = record_.RoundFolder(round());
  facts.stopped_by = stopped_by_;
  facts.folder_failed = folder_failed_;
  facts.steady_now = clock_.Now();
  facts.wall_now = clock_.WallNow();
  return facts;
}

void Agent::OnRoundGone() {
  for (const topology::RankPlace& place : places_) output_->ReadNow(place.rank);
  attach_->EndRound();
}

void Agent::OnRoundEnded(const elastic::RoundOutcome& outcome,
                         std::map<base::Rank, RankEvidence> evidence) {
  RoundFacts facts = Facts();
  facts.ranks = std::move(evidence);
  last_verdict_ = MakeVerdict(outcome, facts);
  const bool restarts = outcome.decision == elastic::Decision::kRestart;
  Log(RoundEndedEvent(outcome, last_verdict_ ? &*last_verdict_ : nullptr));
  if (restarts) Log(RestartScheduledEvent(outcome));
  if (!last_verdict_) return;
  record_.SaveRoundVerdict(outcome.round, *last_verdict_);
  if (restarts) output_->Print(RenderVerdict(*last_verdict_));
}

void Agent::OnJobEnded(const elastic::JobOutcome& outcome) {
  const std::optional<proto::Verdict> verdict = MakeJobVerdict(outcome, last_verdict_, Facts());
  const int exit_status = ExitStatus(verdict);
  if (verdict) {
    record_.SaveVerdict(*verdict);
    output_->Print(RenderVerdict(*verdict));
  }
  Log(JobEndedEvent(outcome, exit_status));
  Finish(exit_status);
}

void Agent::Finish(int exit_status) {
  exit_status_ = exit_status;
  finishing_ = true;
  record_.SaveEnd(exit_status);
  output_->Flush(kFlushDeadline, [this](const base::Status& flushed) {
    if (!flushed.ok()) OnOutputTrouble(process::OutputPump::Sink::kConsole, flushed);
    loop_.Quit();
  });
}

// -------------------------------------------------------------------------------------- for verbs

proto::StatusReply Agent::GetStatus() const {
  proto::StatusReply status = StatusOf(driver_->state(), driver_->steps(), loop_.Now());
  status.set_job_id(job_id());
  status.set_host(config_.here.host);
  status.set_job_age_ns((loop_.Now() - started_at_).count());
  return status;
}

}  // namespace

int RunAgent(AgentConfig config, base::UniqueFd link) {
  ::signal(SIGPIPE, SIG_IGN);
  base::SetLogIdentity({.job = config.directory.job_id(), .role = "agent"});
  const base::RealClock clock;
  base::Result<std::unique_ptr<event::EpollLoop>> loop = event::EpollLoop::Create(clock);
  if (!loop.ok()) {
    std::fprintf(stderr, "lockstep: %s\n", loop.status().ToString().c_str());
    return ExitStatusOf(loop.status());
  }
  Agent agent(std::move(config), std::move(link), clock, **loop);
  if (const base::Status status = agent.Open(); !status.ok()) return agent.GiveUp(status);
  return agent.Run();
}

}  // namespace lockstep::launcher
