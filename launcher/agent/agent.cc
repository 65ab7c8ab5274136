// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/agent.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "elastic/gang.h"
#include "launcher/agent/control_server.h"
#include "launcher/agent/culprit_stacks.h"
#include "launcher/agent/gang_driver.h"
#include "launcher/agent/gang_watch.h"
#include "launcher/agent/job_account.h"
#include "launcher/agent/job_cluster.h"
#include "launcher/agent/job_desk.h"
#include "launcher/agent/job_events.h"
#include "launcher/agent/job_record.h"
#include "launcher/agent/job_views.h"
#include "launcher/agent/node_runtime.h"
#include "launcher/agent/open_cluster.h"
#include "launcher/agent/rank_setup.h"
#include "launcher/agent/rank_world.h"
#include "launcher/agent/remote_needs.h"
#include "launcher/agent/socket_folder.h"
#include "launcher/diagnosis/hang_times.h"
#include "launcher/exit_codes.h"
#include "launcher/front/front_link.h"
#include "launcher/jobs/job_addresses.h"
#include "launcher/verdict/root_cause.h"
#include "runtime/base/clock.h"
#include "runtime/base/logging.h"
#include "runtime/event/epoll_loop.h"
#include "runtime/event/signal_source.h"
#include "runtime/proto/duration_text.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;

// A reader of our output (a pager, a stopped terminal) may take its time; a second signal ends the
// wait.
constexpr base::Duration kFlushDeadline = 10min;

int ExitStatusOf(const base::Status& status) {
  switch (status.code()) {
    case base::Code::kResourceExhausted: return static_cast<int>(ExitCode::kNoResources);
    case base::Code::kPermissionDenied: return static_cast<int>(ExitCode::kCannotWrite);
    case base::Code::kNotFound: return static_cast<int>(ExitCode::kNotFound);
    case base::Code::kInvalidArgument: return static_cast<int>(ExitCode::kUsage);
    default: return static_cast<int>(ExitCode::kUnavailable);
  }
}

/// One job on this machine: owns every part and passes each one's news on to the others. What to do
/// is decided by elastic::Step and done by GangDriver; what is said of it is JobAccount's.
class Agent final : public GangDelegate, public ClusterDelegate {
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
        account_(config_, record_, clock),
        driver_(GangConfigOf(spec(), config_.rank_count, config_.seed), {loop, *this}),
        watch_(spec(), {.job = job_id(), .host = config_.here.host},
               [this](base::Rank rank) { return node_->RecorderFd(rank); },
               {loop, driver_, account_, record_}),
        views_({.job_id = job_id(),
                .host = config_.here.host,
                .metrics_file = spec().metrics().file()},
               {.loop = loop,
                .files = config_.directory.files(),
                .driver = driver_,
                .account = account_,
                .ranks = [this] { return watch_.RanksThatRun(); },
                .pace = [this] { return watch_.pace(); },
                .say = [this](const std::string& text) { node_->Say(text); }}) {}

  /// Opens everything that can fail before a rank starts.
  base::Status Open();
  /// Writes down that Open() failed; returns the exit status.
  int GiveUp(const base::Status& why);
  /// Runs the job to its end. Returns the exit status.
  int Run();

  void OnRoundBegins(const elastic::SpawnRanks& round) override;
  void OnAllSpawned() override;
  void OnRoundFails() override { watch_.OnRoundFails(); }
  void PersistRestarts(int used) override;
  void OnNotice(const elastic::Notice& notice) override { account_.OnNotice(notice); }
  void OnRoundEnded(const elastic::RoundOutcome& outcome,
                    std::map<base::Rank, RankEvidence> evidence) override {
    watch_.OnRoundEnded(outcome);
    account_.OnRoundEnded(outcome, std::move(evidence));
  }
  void OnSurvivorsGoOn(const elastic::RoundOutcome& outcome,
                       const std::vector<elastic::GoneRank>& gone,
                       std::map<base::Rank, RankEvidence> evidence) override;
  void OnJobEnded(const elastic::JobOutcome& outcome) override;

  void OnClusterFormed(FormedCluster cluster) override;
  void OnClusterFailed(const base::Status& why) override;
  void OnNodeLost(base::NodeIndex node, const std::vector<base::Rank>& ranks,
                  const base::Status& why) override;
  /// Of verbs here and, by the agents there, on other nodes.
  void Answer(const proto::ControlRequest& request, OnAnswer answer) override {
    desk_->Answer(request, std::move(answer));
  }

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
  void NoteLostInput(const FormedCluster& cluster);
  void StartAlone();
  base::Status OpenControl();
  base::Status RestoreControl();
  void OnLinkReadable();
  void OnFrontByte(uint8_t byte);
  void OnSignal(int signal, const std::string& source);
  void Stop(int signal, bool at_once, const std::string& source, const std::string& reason);

  void Finish(int exit_status, const std::optional<proto::Verdict>& verdict);
  void FlushAndQuit();
  proto::StopReply StopByVerb(const proto::StopRequest& request);

  AgentConfig config_;
  const base::Clock& clock_;
  event::Loop& loop_;
  base::UniqueFd link_;
  base::Duration stop_grace_{0};
  int master_port_ = 0;
  int exit_status_ = static_cast<int>(ExitCode::kInternal);
  bool runs_no_ranks_ = false;  // all of them are on other machines
  bool started_told_ = false;
  bool finishing_ = false;  // the job has ended; only output is left to write

  // Destroyed in the opposite order, so that nobody calls what is gone.
  JobRecord record_;
  JobAccount account_;
  GangDriver driver_;
  GangWatch watch_;
  std::unique_ptr<NodeRuntime> node_;
  std::unique_ptr<CulpritStacks> stacks_;
  std::unique_ptr<JobDesk> desk_;
  std::unique_ptr<JobCluster> cluster_;  // null: one node
  JobViews views_;
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
  if (has_other_agents()) {
    ASSIGN_OR_RETURN(cluster_, OpenCluster(config_, std::move(environment),
                                           {clock_, loop_, *node_, driver_, *this}));
    views_.SetCluster(*cluster_);
    desk_->SetAskNode([this](base::NodeIndex node, const proto::ControlRequest& request,
                             OnAnswer answer) { cluster_->Ask(node, request, std::move(answer)); });
    stacks_->SetFar(cluster_->far_stacks());
  }
  RETURN_IF_ERROR(OpenControl());
  RETURN_IF_ERROR(views_.Open());
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
                                               .console_drops = has_other_agents(),
                                               .all_ranks_here = !has_other_agents()},
                                              {clock_, loop_, record_, driver_}));
  account_.SetNode(node_.get());
  if (!node_->are_ranks_recorded()) watch_.DoubtTheRingless();
  stacks_ = std::make_unique<CulpritStacks>(
      node_->stacks().tools(),
      CulpritStacks::Deps{.loop = loop_, .processes = node_->processes(), .record = record_});
  watch_.SetStacks(*stacks_);
  watch_.AskTorch([this](base::Rank rank) { return node_->FlightFilesOf(rank); },
                  [this] { return node_->output().bytes_read_total(); });
  desk_ = std::make_unique<JobDesk>(
      job_id(), JobDesk::Deps{.node = *node_,
                              .status =
                                  [this](const auto& request, OnAnswer answer) {
                                    views_.Answer(request, std::move(answer));
                                  },
                              .stop = [this](const auto& request) { return StopByVerb(request); },
                              .hangs =
                                  [this](const proto::HangsRequest& request) {
                                    return SetHangTimes(request, watch_.hangs());
                                  }});
  return base::OkStatus();
}

base::Status Agent::ClaimMasterPort() {
  master_port_ = spec().gang().master_port();
  if (spec().gang().has_master_port()) return base::OkStatus();
  ASSIGN_OR_RETURN(master_port_, node_->ClaimMasterPort());
  return base::OkStatus();
}

void Agent::StartAlone() {
  const PlannedNode& node = config_.nodes.front();
  node_->SetWorld(WorldOf(spec().gang(), {{.host = node.host, .slots = node.slots}},
                          {.address = "127.0.0.1", .port = master_port_}),
                  base::NodeIndex(0));
  driver_.Start(std::vector<NodeRanks*>(static_cast<size_t>(config_.rank_count), &node_->ranks()));
}

void Agent::OnClusterFormed(FormedCluster cluster) {
  // Nodes that come by themselves bring their numbers of ranks with them.
  config_.rank_count = static_cast<int>(cluster.node_of_rank.size());
  record_.SetNodes(std::move(cluster.nodes), cluster.self);
  runs_no_ranks_ = cluster.self == base::NodeIndex(-1);
  NoteLostInput(cluster);
  std::vector<bool> is_here;
  for (const NodeRanks* node : cluster.node_of_rank) is_here.push_back(node == &node_->ranks());
  watch_.SetFarPaces(cluster_->far_paces());
  watch_.SetFar(cluster_->far_looks(), std::move(is_here), cluster.host_of_rank);
  account_.SetHosts(std::move(cluster.host_of_rank));
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
             ", which is on " + cluster.host_of_rank[rank] +
             "; --stdin RANK names one on this machine, --stdin none "
             "says that none is meant");
}

void Agent::OnClusterFailed(const base::Status& why) {
  if (finishing_) return;
  const int exit_status = ExitStatusOf(why);
  Finish(exit_status, account_.OnNeverFormed(why, exit_status));
}

void Agent::OnNodeLost(base::NodeIndex node, const std::vector<base::Rank>& ranks,
                       const base::Status& why) {
  driver_.LoseNode(node, ranks, why);
}

base::Status Agent::OpenControl() {
  base::Result<std::unique_ptr<ControlServer>> control =
      ControlServer::Create(ControlPath(), *desk_, loop_);
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

/// Says it in the places where one looks for the end of a job.
int Agent::GiveUp(const base::Status& why) {
  std::fprintf(stderr, "lockstep: %s\n", why.ToString().c_str());
  // What we hold may be what there was too little of: the files below want a descriptor.
  link_watch_.reset();
  signals_.reset();
  control_.reset();
  cluster_.reset();
  desk_.reset();
  stacks_.reset();
  account_.SetNode(nullptr);
  node_.reset();
  const int exit_status = ExitStatusOf(why);
  account_.OnNeverOpened(why, exit_status);
  return exit_status;
}

int Agent::Run() {
  account_.OnJobStarted(master_port_);
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
  account_.OnStop(signal, at_once, source, reason);
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
  if (cluster_ != nullptr) cluster_->BeginRound(round.round);
  record_.SetRound(round.round);
  account_.OnRoundBegins(round);
  watch_.BeginRound();
  views_.BeginRound();
  if (runs_no_ranks_) {
    // Nobody else makes it here, and the round's verdict goes there.
    if (const base::Status made = record_.MakeRoundFolder(round.round); !made.ok()) {
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

void Agent::OnSurvivorsGoOn(const elastic::RoundOutcome& outcome,
                            const std::vector<elastic::GoneRank>& gone,
                            std::map<base::Rank, RankEvidence> evidence) {
  // Before any node hears of it: its ranks may come to meet at once.
  if (cluster_ != nullptr) cluster_->BeginRound(outcome.next_round);
  account_.OnSurvivorsGoOn(outcome, gone, std::move(evidence));
  watch_.BeginRound();  // they may come to stand still, too
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

void Agent::OnJobEnded(const elastic::JobOutcome& outcome) {
  const std::optional<proto::Verdict> verdict = account_.OnJobEnded(outcome);
  Finish(ExitStatus(verdict), verdict);
}

void Agent::Finish(int exit_status, const std::optional<proto::Verdict>& verdict) {
  exit_status_ = exit_status;
  finishing_ = true;
  views_.Close();
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
  record_.AwaitFlights();  // other nodes have been told that it is over
  node_->SayDropped(node_->output().TakeDroppedLines(), node_->self(), node_->FilesLackSome());
  node_->FlushOutput(kFlushDeadline, [this](const base::Status& flushed) {
    if (!flushed.ok()) node_->Log(account_.round(), OutputTroubleEvent("console", flushed));
    loop_.Quit();
  });
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
