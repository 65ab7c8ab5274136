// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/agent.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include "elastic/gang.h"
#include "launcher/agent/control_server.h"
#include "launcher/agent/gang_driver.h"
#include "launcher/agent/gang_status.h"
#include "launcher/agent/job_cluster.h"
#include "launcher/agent/job_events.h"
#include "launcher/agent/job_record.h"
#include "launcher/agent/meeting_door.h"
#include "launcher/agent/node_runtime.h"
#include "launcher/agent/rank_setup.h"
#include "launcher/agent/rank_world.h"
#include "launcher/agent/remote_needs.h"
#include "launcher/agent/socket_folder.h"
#include "launcher/exit_codes.h"
#include "launcher/front/front_link.h"
#include "launcher/jobs/job_addresses.h"
#include "launcher/placement/simulated_agents.h"
#include "launcher/placement/ssh_agents.h"
#include "launcher/verdict/root_cause.h"
#include "launcher/verdict/screen.h"
#include "launcher/version.h"
#include "runtime/base/clock.h"
#include "runtime/base/logging.h"
#include "runtime/event/epoll_loop.h"
#include "runtime/event/signal_source.h"
#include "runtime/proto/duration_text.h"
#include "runtime/proto/port_range_text.h"
#include "runtime/proto/status_conversion.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;

// A reader of our output (a pager, a stopped terminal) may take its time; a second signal ends the
// wait.
constexpr base::Duration kFlushDeadline = 10min;

constexpr const char* kTerminal = "the terminal";

int ExitStatusOf(const base::Status& status) {
  switch (status.code()) {
    case base::Code::kResourceExhausted: return static_cast<int>(ExitCode::kNoResources);
    case base::Code::kPermissionDenied: return static_cast<int>(ExitCode::kCannotWrite);
    case base::Code::kNotFound: return static_cast<int>(ExitCode::kNotFound);
    default: return static_cast<int>(ExitCode::kUnavailable);
  }
}

/// One job on this machine: owns every part and passes each one's news on to the others. What to do
/// is decided by elastic::Step and done by GangDriver; what is said and written down is done here.
class Agent final : public GangDelegate, public ControlTarget, public ClusterDelegate {
 public:
  Agent(AgentConfig config, base::UniqueFd link, const base::Clock& clock, event::Loop& loop)
      : config_(std::move(config)),
        clock_(clock),
        loop_(loop),
        link_(std::move(link)),
        stop_grace_(proto::FromProto(spec().grace().user_stop())),
        record_({.directory = config_.directory,
                 .state = config_.state,
                 .here = config_.here,
                 .socket_path = ControlPath(),
                 .spec_text = config_.spec_text,
                 .log_directory = config_.log_directory},
                loop,
                // One message is enough for a disk that is full.
                [this](const base::Status& why) {
                  node_->Say("the job directory is incomplete, the job goes on: " + why.ToString());
                }),
        driver_(GangConfigOf(spec(), config_.rank_count, config_.seed), {loop, *this}) {}

  /// Opens everything that can fail before a rank starts.
  base::Status Open();
  /// Writes down that Open() failed; returns the exit status.
  int GiveUp(const base::Status& why);
  /// Runs the job to its end. Returns the exit status.
  int Run();

  void OnRoundBegins(const elastic::SpawnRanks& round) override;
  void OnAllSpawned() override;
  void PersistRestarts(int used) override;
  void OnNotice(const elastic::Notice& notice) override;
  void OnRoundEnded(const elastic::RoundOutcome& outcome,
                    std::map<base::Rank, RankEvidence> evidence) override;
  void OnJobEnded(const elastic::JobOutcome& outcome) override;

  void OnClusterFormed(FormedCluster cluster) override;
  void OnClusterFailed(const base::Status& why) override;
  void OnNodeLost(base::NodeIndex node, const std::vector<base::Rank>& ranks,
                  const base::Status& why) override;
  /// Of verbs here and, by the agents there, on other nodes.
  void Answer(const proto::ControlRequest& request, OnAnswer answer) override;

 private:
  const proto::JobSpec& spec() const { return config_.job.spec(); }
  const std::string& job_id() const { return config_.directory.job_id(); }
  /// One node elsewhere has an agent of its own as well.
  bool has_other_agents() const {
    return config_.nodes.size() > 1 || !config_.nodes.front().is_here();
  }
  std::string ControlPath() const { return ControlSocketPath(config_.socket_directory, job_id()); }

  base::Status OpenNode();
  base::Status ClaimMasterPort();
  base::Status OpenCluster(topology::Environment environment);
  void NoteLostInput(const FormedCluster& cluster);
  base::Result<std::unique_ptr<AgentStarter>> MakeStarter(topology::Environment environment);
  std::unique_ptr<AgentStarter> MakeSshStarter(topology::Environment environment);
  void StartAlone();
  base::Status OpenControl();
  base::Status RestoreControl();
  void LogJobStarted();
  void OnLinkReadable();
  void OnFrontByte(uint8_t byte);
  void OnSignal(int signal, const std::string& source);
  void Stop(int signal, bool at_once, const std::string& source, const std::string& reason);
  RoundFacts Facts() const;

  void Finish(int exit_status, const std::optional<proto::Verdict>& verdict);
  void FlushAndQuit();
  void ReadOutput(const proto::ControlRequest& request, OnAnswer answer);
  proto::StatusReply GetStatus() const;
  proto::StopReply StopByVerb(const proto::StopRequest& request);

  AgentConfig config_;
  const base::Clock& clock_;
  event::Loop& loop_;
  base::UniqueFd link_;
  base::Duration stop_grace_{0};
  int master_port_ = 0;
  std::vector<std::string> host_of_rank_;  // of a job of several nodes
  base::Round round_;  // what is told of it may come when the gang's state is that of the next
  std::optional<proto::Verdict> last_verdict_;
  base::SteadyTime started_at_{};
  int exit_status_ = static_cast<int>(ExitCode::kInternal);
  std::string stopped_by_;      // as RoundFacts has it
  std::string program_path_;    // of the file that other machines must have; "" = not looked for
  bool runs_no_ranks_ = false;  // all of them are on other machines
  bool started_told_ = false;
  bool finishing_ = false;  // the job has ended; only output is left to write

  // Destroyed in the opposite order, so that nobody calls what is gone.
  JobRecord record_;
  GangDriver driver_;
  std::unique_ptr<NodeRuntime> node_;
  std::unique_ptr<JobCluster> cluster_;  // null: one node
  std::unique_ptr<ControlServer> control_;
  std::unique_ptr<event::SignalSource> signals_;
  event::Registration link_watch_;
};

// -------------------------------------------------------------------------------------------
// opening

base::Status Agent::Open() {
  if (spec().placement().has_ssh()) FindOwnNode(&config_.nodes);
  topology::Environment environment;
  if (has_other_agents()) environment = config_.environment;
  RETURN_IF_ERROR(OpenNode());
  RETURN_IF_ERROR(ClaimMasterPort());
  if (has_other_agents()) RETURN_IF_ERROR(OpenCluster(std::move(environment)));
  RETURN_IF_ERROR(OpenControl());
  // Sent to the agent itself, by `kill` or by a service manager that signals a whole unit.
  ASSIGN_OR_RETURN(signals_, event::SignalSource::Create(loop_, {SIGINT, SIGTERM, SIGHUP, SIGQUIT},
                                                         [this](const event::Signal& signal) {
                                                           OnSignal(signal.number,
                                                                    "a signal to the agent");
                                                         }));
  link_watch_ =
      loop_.Watch(link_.get(), {.readable = true}, [this](event::Readiness) { OnLinkReadable(); });
  return base::OkStatus();
}

base::Status Agent::OpenNode() {
  ASSIGN_OR_RETURN(node_, NodeRuntime::Create({.spec = spec(),
                                               .arguments = config_.arguments,
                                               .environment = std::move(config_.environment),
                                               .job_id = job_id(),
                                               .events_path = config_.directory.EventsPath(),
                                               .host = config_.here.host,
                                               .boot_id = config_.here.boot_id,
                                               .socket_directory = config_.socket_directory,
                                               .local_rank_count = config_.rank_count,
                                               .color_stdout = config_.color_stdout,
                                               .color_stderr = config_.color_stderr,
                                               // Nodes may be many, and have one console.
                                               .console_drops = has_other_agents()},
                                              {clock_, loop_, record_, driver_}));
  return base::OkStatus();
}

base::Status Agent::ClaimMasterPort() {
  master_port_ = spec().gang().master_port();
  if (spec().gang().has_master_port()) return base::OkStatus();
  ASSIGN_OR_RETURN(master_port_, node_->ClaimMasterPort());
  return base::OkStatus();
}

base::Status Agent::OpenCluster(topology::Environment environment) {
  const proto::Placement& placement = spec().placement();
  std::error_code error;
  JobCluster::Config cluster{
      .job_id = job_id(),
      .job_name = config_.state.name(),
      .jobs_root = config_.jobs_root,
      .here = config_.here,
      .nodes = config_.nodes,
      .door = {.listen_host = placement.has_simulated() ? "127.0.0.1" : ""},
      .lease = {proto::FromProto(placement.heartbeat()), proto::FromProto(placement.lease())},
      .job = config_.job,
      .arguments = config_.arguments,
      .working_directory = std::filesystem::current_path(error).string(),
      .log_directory = config_.log_directory,
      .color_stdout = config_.color_stdout,
      .color_stderr = config_.color_stderr};
  if (placement.has_join_timeout()) {
    cluster.join_deadline = proto::FromProto(placement.join_timeout());
  }
  if (placement.has_ssh() || config_.meeting) {
    ASSIGN_OR_RETURN(
        RemoteNeeds needs,
        FindRemoteNeeds(cluster.job.mutable_spec(), config_.arguments, config_.program_word,
                        config_.nodes, config_.here, cluster.working_directory, environment));
    cluster.program = std::move(needs.bootstrap);
    cluster.program_hash = std::move(needs.program_hash);
    program_path_ = std::move(needs.program_path);
  }
  ASSIGN_OR_RETURN(const proto::PortSpan ports, proto::ParsePortSpan(placement.ports()));
  cluster.door.ports = {ports.first, ports.last};
  std::unique_ptr<AgentStarter> starter;
  if (config_.meeting) {
    TakePartIn(*config_.meeting, cluster);
  } else {
    ASSIGN_OR_RETURN(starter, MakeStarter(std::move(environment)));
  }
  base::Result<std::unique_ptr<JobCluster>> made = JobCluster::Create(
      std::move(cluster), std::move(starter), {clock_, loop_, *node_, driver_, *this});
  if (!made.ok() && config_.meeting) {
    return ExplainNoMeeting(made.status(), *config_.meeting, config_.here.host);
  }
  ASSIGN_OR_RETURN(cluster_, std::move(made));
  return base::OkStatus();
}

std::unique_ptr<AgentStarter> Agent::MakeSshStarter(topology::Environment environment) {
  const proto::SshPlacement& ssh = spec().placement().ssh();
  SshAgents::Config config{.ssh = ssh,
                           .hosts = {},
                           .environment = std::move(environment),
                           .program_path = ssh.stage() ? program_path_ : "",
                           .say = [this](const std::string& text) { node_->Say(text); }};
  for (int node = 0; node < ssh.hosts_size(); ++node) {
    config.hosts[base::NodeIndex(node)] = ssh.hosts(node);
  }
  return std::make_unique<SshAgents>(std::move(config), SshAgents::Deps{loop_, node_->processes()});
}

base::Result<std::unique_ptr<AgentStarter>> Agent::MakeStarter(topology::Environment environment) {
  if (spec().placement().has_ssh()) return MakeSshStarter(std::move(environment));
  SimulatedAgents::Config config{.job_id = job_id(),
                                 .hosts = {},
                                 .environment = std::move(environment),
                                 .jobs_root = config_.jobs_root,
                                 .socket_directory = config_.socket_directory};
  for (size_t node = 0; node < config_.nodes.size(); ++node) {
    config.hosts[base::NodeIndex(static_cast<int>(node))] = config_.nodes[node].host;
  }
  return std::unique_ptr<AgentStarter>(std::make_unique<SimulatedAgents>(
      std::move(config), SimulatedAgents::Deps{loop_, node_->processes()}));
}

void Agent::StartAlone() {
  const PlannedNode& node = config_.nodes.front();
  node_->SetWorld(WorldOf(spec().gang(), {{.host = node.host, .slots = node.slots}},
                          {.address = "127.0.0.1", .port = master_port_}),
                  base::NodeIndex(0));
  driver_.Start(std::vector<NodeRanks*>(static_cast<size_t>(config_.rank_count), &node_->ranks()));
}

void Agent::OnClusterFormed(FormedCluster cluster) {
  host_of_rank_ = std::move(cluster.host_of_rank);
  // Nodes that come by themselves bring their numbers of ranks with them.
  config_.rank_count = static_cast<int>(cluster.node_of_rank.size());
  record_.SetNodes(std::move(cluster.nodes), cluster.self);
  runs_no_ranks_ = cluster.self == base::NodeIndex(-1);
  NoteLostInput(cluster);
  node_->SetWorld(std::move(cluster.world), cluster.self);
  driver_.Start(std::move(cluster.node_of_rank));
}

/// Says it when somebody has written something for a rank that it will not get.
void Agent::NoteLostInput(const FormedCluster& cluster) {
  const proto::StdinReader& reader = spec().logs().stdin_reader();
  const auto rank = static_cast<size_t>(reader.rank());
  if (!reader.has_rank() || rank >= cluster.node_of_rank.size()) return;
  if (cluster.node_of_rank[rank] == &node_->ranks()) return;
  struct stat input{};
  const bool given = ::fstat(STDIN_FILENO, &input) == 0 &&
                     (S_ISFIFO(input.st_mode) || (S_ISREG(input.st_mode) && input.st_size > 0));
  if (!given) return;
  node_->Say("note: standard input is not passed on to rank " + std::to_string(rank) +
             ", which is on " + host_of_rank_[rank] +
             "; --stdin RANK names one on this machine, --stdin none "
             "says that none is meant");
}

void Agent::OnClusterFailed(const base::Status& why) {
  if (finishing_) return;
  const int exit_status = ExitStatusOf(why);
  const std::string text = why.cause() == nullptr ? why.message() : why.ToString();
  const proto::Verdict verdict =
      MakeVerdictWithoutRanks(proto::Verdict::LAUNCH_FAILED, round_, exit_status, text, Facts());
  record_.SaveVerdict(verdict);
  node_->output().Print(RenderVerdict(verdict));
  Finish(exit_status, verdict);
}

void Agent::OnNodeLost(base::NodeIndex node, const std::vector<base::Rank>& ranks,
                       const base::Status& why) {
  driver_.LoseNode(node, ranks, why);
}

base::Status Agent::OpenControl() {
  base::Result<std::unique_ptr<ControlServer>> control =
      ControlServer::Create(ControlPath(), *this, loop_);
  if (!control.ok()) return SocketTrouble(control.status());
  control_ = *std::move(control);
  return base::OkStatus();
}

/// For verbs that come after a log-out has removed the socket (socket_folder.h).
base::Status Agent::RestoreControl() {
  if (::access(ControlPath().c_str(), F_OK) == 0) return base::OkStatus();
  control_.reset();  // before another one has the path: it removes what is there
  ASSIGN_OR_RETURN(config_.socket_directory, FolderForNewSockets(config_.socket_directory));
  record_.SetSocketPath(ControlPath());
  return OpenControl();
}

void Agent::LogJobStarted() {
  proto::Event event;
  proto::JobStarted& started = *event.mutable_job_started();
  started.set_name(config_.state.name());
  for (const std::string& word : config_.arguments) started.add_command(word);
  started.set_rank_count(config_.rank_count);
  started.set_max_restarts(spec().restart().max_restarts());
  started.set_lockstep_version(std::string(kVersion));
  started.set_agent_pid(::getpid());
  started.set_containment(node_->containment());
  started.set_master_port(master_port_);
  node_->Log(round_, std::move(event));
}

/// Says it in the places where one looks for the end of a job.
int Agent::GiveUp(const base::Status& why) {
  std::fprintf(stderr, "lockstep: %s\n", why.ToString().c_str());
  // What we hold may be what there was too little of: the files below want a descriptor.
  link_watch_.reset();
  signals_.reset();
  control_.reset();
  cluster_.reset();
  node_.reset();
  const int exit_status = ExitStatusOf(why);
  const proto::Verdict verdict = MakeVerdictWithoutRanks(proto::Verdict::LAUNCH_FAILED, round_,
                                                         exit_status, why.ToString(), Facts());
  if (const base::Status written = record_.GiveUp(verdict, exit_status); !written.ok()) {
    std::fprintf(stderr, "lockstep: %s\n", written.ToString().c_str());
  }
  return exit_status;
}

int Agent::Run() {
  started_at_ = loop_.Now();
  LogJobStarted();
  if (cluster_ != nullptr) {
    cluster_->Start(master_port_);
  } else {
    StartAlone();
  }
  loop_.Run();
  node_->FlushEvents();
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
      if (node_->stdin_forwarder() != nullptr) {
        node_->stdin_forwarder()->SetPaused(static_cast<FrontNews>(byte) ==
                                            FrontNews::kInBackground);
      }
      return;
  }
  if (AsksForEnd(byte)) SendByte(link_.get(), static_cast<uint8_t>(AgentNews::kHeard));
  OnSignal(byte, kTerminal);
}

void Agent::OnSignal(int signal, const std::string& source) {
  if (AsksForEnd(signal)) {
    Stop(signal, false, source, "");
  } else if (signal == SIGTSTP) {
    driver_.Suspend();
    SendByte(link_.get(), static_cast<uint8_t>(AgentNews::kSuspended));
  } else if (signal == SIGCONT) {
    driver_.Resume();
  } else {
    driver_.ForwardSignal(signal);
  }
}

void Agent::Stop(int signal, bool at_once, const std::string& source, const std::string& reason) {
  if (finishing_) {  // nothing is left but somebody who does not read our output
    loop_.Quit();
    return;
  }
  node_->Log(round_, StopRequestedEvent(signal, at_once, source, reason));
  if (stopped_by_.empty()) stopped_by_ = source == kTerminal ? "" : source;
  driver_.RequestStop(signal, at_once, stop_grace_);
}

proto::StopReply Agent::StopByVerb(const proto::StopRequest& request) {
  Stop(request.signal() == 0 ? SIGTERM : request.signal(), request.at_once(), "`lockstep stop`",
       request.reason());
  proto::StopReply reply;
  reply.set_grace_ns(request.at_once() ? 0 : stop_grace_.count());
  return reply;
}

// ------------------------------------------------------------------------------- life of the gang

void Agent::OnRoundBegins(const elastic::SpawnRanks& round) {
  round_ = round.round;
  record_.SetRound(round.round);
  node_->Log(round_, RoundStartedEvent(round));
  if (runs_no_ranks_) {
    // Nobody else makes it here, and the round's verdict goes there.
    if (const base::Status made = record_.MakeRoundFolder(round_); !made.ok()) {
      node_->Say("the job directory is incomplete, the job goes on: " + made.ToString());
    }
  }
  if (round.restart_count == 0) return;
  if (const base::Status restored = RestoreControl(); !restored.ok()) {
    node_->Say("verbs can no longer reach this job: " + restored.ToString());
  }
  // At once: should we be killed while a great gang is spawned, the state names this round, and the
  // sockets that are to be removed.
  record_.SaveRunning();
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
  node_->FlushEvents();
}

void Agent::PersistRestarts(int used) { record_.SaveRestarts(used); }

void Agent::OnNotice(const elastic::Notice& notice) {
  const std::string text = NoticeText(notice, config_.rank_count, job_id());
  node_->Say(text);
  node_->Log(round_, NoticeEvent(notice, text));
}

RoundFacts Agent::Facts() const {
  RoundFacts facts;
  facts.job_id = job_id();
  facts.host = config_.here.host;
  facts.host_of_rank = host_of_rank_;
  facts.log_directory = record_.RoundFolder(round_);
  facts.stopped_by = stopped_by_;
  facts.folder_failed = node_ != nullptr && node_->folder_failed();
  facts.steady_now = clock_.Now();
  facts.wall_now = clock_.WallNow();
  return facts;
}

void Agent::OnRoundEnded(const elastic::RoundOutcome& outcome,
                         std::map<base::Rank, RankEvidence> evidence) {
  RoundFacts facts = Facts();
  facts.ranks = std::move(evidence);
  last_verdict_ = MakeVerdict(outcome, facts);
  const bool restarts = outcome.decision == elastic::Decision::kRestart;
  node_->Log(round_, RoundEndedEvent(outcome, last_verdict_ ? &*last_verdict_ : nullptr));
  if (restarts) node_->Log(round_, RestartScheduledEvent(outcome));
  if (!last_verdict_) return;
  record_.SaveRoundVerdict(outcome.round, *last_verdict_);
  if (restarts) node_->output().Print(RenderVerdict(*last_verdict_));
}

void Agent::OnJobEnded(const elastic::JobOutcome& outcome) {
  const std::optional<proto::Verdict> verdict = MakeJobVerdict(outcome, last_verdict_, Facts());
  const int exit_status = ExitStatus(verdict);
  if (verdict) {
    record_.SaveVerdict(*verdict);
    node_->output().Print(RenderVerdict(*verdict));
  }
  node_->Log(round_, JobEndedEvent(outcome, exit_status));
  Finish(exit_status, verdict);
}

void Agent::Finish(int exit_status, const std::optional<proto::Verdict>& verdict) {
  exit_status_ = exit_status;
  finishing_ = true;
  record_.SaveEnd(exit_status);
  if (cluster_ == nullptr) return FlushAndQuit();
  proto::JobOver over;
  over.set_exit_code(exit_status);
  if (verdict) *over.mutable_verdict() = *verdict;
  // Those who read the files of this node from others wait for that; their agents, for them.
  node_->output().FlushFiles([this] { node_->output_service().SetComplete(); });
  cluster_->Finish(over, [this] { FlushAndQuit(); });
}

void Agent::FlushAndQuit() {
  node_->SayDropped(node_->output().TakeDroppedLines(), node_->self(), node_->FilesLackSome());
  node_->FlushOutput(kFlushDeadline, [this](const base::Status& flushed) {
    if (!flushed.ok()) node_->Log(round_, OutputTroubleEvent("console", flushed));
    loop_.Quit();
  });
}

// -------------------------------------------------------------------------------------- for verbs

void Agent::Answer(const proto::ControlRequest& request, OnAnswer answer) {
  proto::ControlReply reply;
  switch (request.kind_case()) {
    case proto::ControlRequest::kStatus: *reply.mutable_status() = GetStatus(); break;
    case proto::ControlRequest::kStop: *reply.mutable_stop() = StopByVerb(request.stop()); break;
    case proto::ControlRequest::kReadOutput: return ReadOutput(request, std::move(answer));
    case proto::ControlRequest::KIND_NOT_SET:
      reply = Refusal(base::InvalidArgumentError(
          "a control request that this agent does not know; use the lockstep that started the "
          "job"));
      break;
  }
  answer(reply);
}

void Agent::ReadOutput(const proto::ControlRequest& request, OnAnswer answer) {
  OutputService& service = node_->output_service();
  if (service.IsHere(request.read_output())) {
    return service.Answer(request.read_output(), std::move(answer));
  }
  if (cluster_ == nullptr) {
    return answer(Refusal(base::NotFoundError("job " + job_id() + " has one node")));
  }
  cluster_->Ask(base::NodeIndex(request.read_output().node()), request, std::move(answer));
}

proto::StatusReply Agent::GetStatus() const {
  proto::StatusReply status = StatusOf(driver_.state(), driver_.steps(), loop_.Now());
  status.set_job_id(job_id());
  status.set_host(config_.here.host);
  status.set_job_age_ns((loop_.Now() - started_at_).count());
  if (cluster_ != nullptr) cluster_->Describe(status);
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
