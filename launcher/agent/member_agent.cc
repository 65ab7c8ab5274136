// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/member_agent.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "launcher/agent/control_server.h"
#include "launcher/agent/job_events.h"
#include "launcher/agent/job_record.h"
#include "launcher/agent/member_desk.h"
#include "launcher/agent/node_offer.h"
#include "launcher/agent/node_runtime.h"
#include "launcher/agent/node_watch.h"
#include "launcher/agent/refusal.h"
#include "launcher/agent/told_job.h"
#include "launcher/cluster/member.h"
#include "launcher/cluster/output_relay.h"
#include "launcher/cluster/protocol.h"
#include "launcher/exit_codes.h"
#include "launcher/front/front_link.h"
#include "launcher/jobs/job_addresses.h"
#include "launcher/jobs/job_directory.h"
#include "launcher/jobs/job_store.h"
#include "launcher/verdict/root_cause.h"
#include "launcher/verdict/screen.h"
#include "runtime/base/clock.h"
#include "runtime/base/logging.h"
#include "runtime/event/epoll_loop.h"
#include "runtime/event/signal_source.h"
#include "runtime/net/endpoint.h"
#include "runtime/net/port_claim.h"
#include "runtime/net/tcp_network.h"
#include "runtime/net/tls_transport.h"
#include "runtime/net/transport.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;

// The coordinator listens before it has agents started: who does not reach it for so long has none,
// and is not to be left behind by a `lockstep run` that was stopped meanwhile.
constexpr base::Duration kConnectTimeout = 5s;
constexpr base::Duration kAskTimeout = 5s;
// At the end of the job, one after the other.
constexpr base::Duration kFlushDeadline = 10s;  // of a slow disk
constexpr base::Duration kRelayDeadline = 5s;   // of a slow console or link
constexpr base::Duration kFollowersTime = 2s;
// Before our goodbye goes what has been sent with credit and waits for a slow link: 1.5 MiB at
// most, at 2.5 Mbit/s or more.
constexpr base::Duration kGoodbyeTime = 5s;
static_assert(kFlushDeadline + kRelayDeadline + kFollowersTime + kGoodbyeTime < kFarewellTime,
              "the coordinator would not wait for our goodbye");
// A reader of our own output (a pager, a stopped terminal) may take its time; another signal ends
// the wait.
constexpr base::Duration kOwnFlushDeadline = 10min;
constexpr base::Duration kPatience = 3s;  // before a user is told what is waited for

/// Whole, where there is more to it than the message.
std::string TextOf(const base::Status& why) {
  return why.cause() == nullptr ? why.message() : why.ToString();
}

class MemberAgent final : public MemberDelegate {
 public:
  MemberAgent(MemberAgentConfig config, base::UniqueFd link, const base::Clock& clock,
              event::Loop& loop)
      : config_(std::move(config)), clock_(clock), loop_(loop), link_(std::move(link)) {}

  base::Status Open();
  int Run();

  base::Result<NodeRanks*> OnWelcome(const proto::Welcome& welcome) override;
  void OnForming(const proto::Forming& forming) override;
  void OnWorld(const proto::World& world) override;
  void OnAllSpawned() override;
  void OnOutputCredit(uint64_t bytes) override {
    if (relay_ != nullptr) relay_->AddCredit(bytes);
  }
  void OnCards(const proto::CardTable& table) override { node_->OnCards(table); }
  void OnClockOffset(const elastic::ClockOffset::Estimate& ahead) override {
    if (node_ != nullptr) {
      node_->Log(member_->round(), ClockComparedEvent(ahead.offset, ahead.error));
    }
  }
  void AnswerHere(const proto::ControlRequest& request, OnAnswer answer) override {
    if (desk_ != nullptr) return desk_->AnswerCoordinator(request, std::move(answer));
    answer(Refusal(base::UnavailableError("this agent is not in the job yet")));
  }
  void OnJobOver(const proto::JobOver& over) override;
  void OnMembershipLost(const base::Status& why) override;

 private:
  const proto::Bootstrap& bootstrap() const { return config_.bootstrap; }
  /// Null: `lockstep run` of another node has started us.
  OwnLine* own_line() { return config_.own_line ? &*config_.own_line : nullptr; }
  JobDirectory DirectoryOf(const std::string& job_id) const {
    return {config_.jobs_root + "/" + job_id, job_id, config_.here.host, *config_.files};
  }

  base::Result<std::unique_ptr<net::Transport>> MakeTransport();
  base::Status Connect();
  base::Status OpenRecord(const proto::Welcome& welcome);
  base::Status OpenNode(const proto::Welcome& welcome);
  void NameConsole(const JobDirectory& directory);
  void OnConnected(base::Result<std::unique_ptr<net::Connection>> connection);
  void OnStarterReadable();
  void OnLinkReadable();
  void OnSignal(int signal);
  void AskForStop(int signal);
  void Print(const proto::Verdict& verdict);
  void SendOutput(proto::Output& output);
  void AwaitFollowers();
  void Leave();
  void EndOutside(const base::Status& why);
  void EndWithoutCoordinator(const base::Status& why);
  void SayOnStderr(const std::string& text) const;
  void End(int exit_status) {
    exit_status_ = exit_status;
    loop_.Quit();
  }

  MemberAgentConfig config_;
  const base::Clock& clock_;
  event::Loop& loop_;
  base::UniqueFd link_;
  base::NodeIndex self_;  // once welcomed
  int exit_status_ = static_cast<int>(ExitCode::kInternal);
  bool over_ = false;
  bool started_told_ = false;
  std::string folder_;  // where ranks start; "" = as the welcome says

  // Destroyed in the opposite order, so that nobody calls what is gone.
  std::optional<net::PortClaim> port_;
  std::unique_ptr<net::TcpNetwork> network_;
  std::unique_ptr<OutputRelay> relay_;  // null: our output is this node's console
  std::unique_ptr<Member> member_;
  std::unique_ptr<JobRecord> record_;
  std::unique_ptr<NodeRuntime> node_;
  std::unique_ptr<NodeWatch> watch_;
  std::unique_ptr<MemberDesk> desk_;
  std::unique_ptr<ControlServer> control_;
  std::unique_ptr<event::SignalSource> signals_;
  std::unique_ptr<net::Connecting> connecting_;
  event::Registration link_watch_;
  event::Registration patience_;
  event::Registration starter_watch_;  // of standard input, until the connection is there
};

// ----------------------------------------------------------------------------------------- joining

base::Status MemberAgent::Open() {
  ASSIGN_OR_RETURN(const NodeOffer offer, MakeNodeOffer(config_));
  folder_ = offer.folder;
  ASSIGN_OR_RETURN(port_, net::PortClaim::Create(bootstrap().job_id() + config_.here.host,
                                                 net::ReadKernelPorts()));
  if (own_line() == nullptr) {
    relay_ =
        std::make_unique<OutputRelay>([this](proto::Output& output) { SendOutput(output); }, loop_);
  }
  member_ = std::make_unique<Member>(
      Member::Config{.hello = HelloOf(config_, offer, port_->port())}, Member::Deps{loop_, *this});
  ASSIGN_OR_RETURN(signals_, event::SignalSource::Create(
                                 loop_, {SIGINT, SIGTERM, SIGHUP, SIGQUIT},
                                 [this](const event::Signal& signal) { OnSignal(signal.number); }));
  link_watch_ =
      loop_.Watch(link_.get(), {.readable = true}, [this](event::Readiness) { OnLinkReadable(); });
  return Connect();
}

base::Result<std::unique_ptr<net::Transport>> MemberAgent::MakeTransport() {
  if (OwnLine* line = own_line()) {
    if (!line->key) return std::unique_ptr<net::Transport>(std::make_unique<net::PlainTransport>());
    return std::unique_ptr<net::Transport>(
        net::TlsTransport::Create(*std::exchange(line->key, std::nullopt)));
  }
  const net::NodeCredentials credentials{.ca_certificate = bootstrap().ca_certificate(),
                                         .certificate = bootstrap().certificate(),
                                         .key = net::Secret(bootstrap().key())};
  std::string& key = *config_.bootstrap.mutable_key();
  ::explicit_bzero(key.data(), key.size());
  ASSIGN_OR_RETURN(std::unique_ptr<net::TlsTransport> transport,
                   net::TlsTransport::Create(credentials));
  return std::unique_ptr<net::Transport>(std::move(transport));
}

base::Status MemberAgent::Connect() {
  std::vector<net::Endpoint> coordinators;
  for (const std::string& text : bootstrap().coordinators()) {
    ASSIGN_OR_RETURN(net::Endpoint endpoint, net::ParseEndpoint(text));
    coordinators.push_back(std::move(endpoint));
  }
  ASSIGN_OR_RETURN(std::unique_ptr<net::Transport> transport, MakeTransport());
  network_ =
      std::make_unique<net::TcpNetwork>(std::move(transport), net::Channel::Options{}, loop_);
  connecting_ = network_->Connect(
      std::move(coordinators), own_line() != nullptr ? own_line()->join_timeout : kConnectTimeout,
      [this](base::Result<std::unique_ptr<net::Connection>> connection) {
        OnConnected(std::move(connection));
      });
  if (own_line() != nullptr) {
    patience_ = loop_.After(kPatience, [this] {
      SayOnStderr("waiting for the coordinator at " + bootstrap().coordinators(0));
    });
  } else {
    starter_watch_ = loop_.Watch(STDIN_FILENO, {.readable = true},
                                 [this](event::Readiness) { OnStarterReadable(); });
  }
  return base::OkStatus();
}

/// Of a launcher that has died nothing else tells before there is a connection, and attempts to
/// make one go on for a while.
void MemberAgent::OnStarterReadable() {
  char bytes[256];
  const ssize_t count = ::read(STDIN_FILENO, bytes, sizeof bytes);
  if (count > 0 || (count < 0 && (errno == EINTR || errno == EAGAIN))) return;
  starter_watch_.reset();
  connecting_.reset();
  over_ = true;
  End(static_cast<int>(ExitCode::kAgentLost));  // without a word: nobody is there to read it
}

void MemberAgent::OnConnected(base::Result<std::unique_ptr<net::Connection>> connection) {
  patience_.reset();
  starter_watch_.reset();
  if (!connection.ok()) {
    return OnMembershipLost(connection.status().WithFrame("while connecting to the coordinator"));
  }
  member_->Start(*std::move(connection));
}

int MemberAgent::Run() {
  loop_.Run();
  if (node_ != nullptr) node_->FlushEvents();
  return exit_status_;
}

base::Result<NodeRanks*> MemberAgent::OnWelcome(const proto::Welcome& welcome) {
  self_ = base::NodeIndex(welcome.node());
  if (config_.job_id != nullptr) config_.job_id->Set(welcome.job_id());
  RETURN_IF_ERROR(OpenRecord(welcome));
  RETURN_IF_ERROR(OpenNode(welcome));
  ASSIGN_OR_RETURN(
      control_, ControlServer::Create(ControlSocketPath(config_.socket_directory, welcome.job_id()),
                                      *desk_, loop_));
  return &node_->ranks();
}

base::Status MemberAgent::OpenNode(const proto::Welcome& welcome) {
  OwnLine* line = own_line();
  ASSIGN_OR_RETURN(
      node_, NodeRuntime::Create({.spec = SpecOf(welcome, own_line(), folder_),
                                  .arguments = line != nullptr ? std::move(line->arguments)
                                                               : ArgumentsOf(welcome, bootstrap()),
                                  .environment = std::move(config_.environment),
                                  .job_id = welcome.job_id(),
                                  .events_path = DirectoryOf(welcome.job_id()).EventsPath(),
                                  .host = config_.here.host,
                                  .boot_id = config_.here.boot_id,
                                  .socket_directory = config_.socket_directory,
                                  .local_rank_count = bootstrap().slots(),
                                  .reads_stdin = false,
                                  .console = relay_.get(),
                                  .color_stdout = bootstrap().color_stdout(),
                                  .color_stderr = bootstrap().color_stderr(),
                                  .console_drops = own_line() != nullptr,
                                  .all_ranks_here = false},
                                 {clock_, loop_, *record_, *member_}));
  watch_ = std::make_unique<NodeWatch>(
      NodeWatch::Config{},
      NodeWatch::Deps{.loop = loop_,
                      .ranks = [this] { return node_->RanksToWatch(); },
                      .say = [this](bool stands) { member_->SendStanding(stands); }});
  desk_ = std::make_unique<MemberDesk>(MemberDesk::Deps{
      .node = *node_,
      .watch = *watch_,
      .ask = [this](const proto::ControlRequest& request, Questions::OnReply on_reply) {
        member_->Ask(request, kAskTimeout, std::move(on_reply));
      }});
  return base::OkStatus();
}

base::Status MemberAgent::OpenRecord(const proto::Welcome& welcome) {
  const std::string& job_id = welcome.job_id();
  const JobDirectory directory = DirectoryOf(job_id);
  // It is there already where nodes share a home.
  base::Status made = config_.files->MakeDirectory(directory.path());
  if (!made.ok() && made.code() != base::Code::kAlreadyExists) return made;
  OwnLine* line = own_line();
  proto::JobState state = StateOf(welcome, line, folder_);
  const std::string log_directory = state.log_directory();
  record_ = std::make_unique<JobRecord>(
      JobRecord::Config{.directory = directory,
                        .state = std::move(state),
                        .here = config_.here,
                        .socket_path = ControlSocketPath(config_.socket_directory, job_id),
                        // A home that nodes share has the coordinator's.
                        .spec_text = line != nullptr && made.ok() ? line->spec_text : "",
                        .log_directory = log_directory},
      loop_, [this](const base::Status& why) {
        if (node_ != nullptr) {
          node_->Say("the job directory is incomplete, the job goes on: " + why.ToString());
        }
      });
  record_->SaveRunning();
  if (line != nullptr && !line->console_path.empty()) NameConsole(directory);
  return base::OkStatus();
}

/// What this node has printed is found where one looks for it; under the host's name, since a home
/// may be shared.
void MemberAgent::NameConsole(const JobDirectory& directory) {
  const std::string path =
      directory.path() + "/console." + FileSafeHost(config_.here.host) + ".log";
  // Without it the file keeps the name that the front gave it.
  (void)!::link(own_line()->console_path.c_str(), path.c_str());
}

/// Whoever is told of lines that were dropped is to know whether they can be found here.
void MemberAgent::SendOutput(proto::Output& output) {
  output.set_files_lack_some(output.dropped_lines() > 0 && node_->FilesLackSome());
  member_->SendOutput(output);
}

void MemberAgent::OnForming(const proto::Forming& forming) {
  if (own_line() != nullptr) node_->Say(FormingText(forming.nodes_here(), forming.node_count()));
}

void MemberAgent::OnWorld(const proto::World& message) {
  std::vector<proto::JobNodeFacts> nodes = NodesOf(message);
  int rank_count = 0;
  for (const proto::JobNodeFacts& node : nodes) rank_count += node.slots();
  record_->SetRankCount(rank_count);
  record_->SetNodes(std::move(nodes), self_);
  record_->SaveRunningSoon();
  node_->SetWorld(WorldOf(message), self_);
  if (message.secret().size() != kJobSecretBytes) return;  // its ranks cannot meet others
  const bool is_named = own_line() != nullptr && !own_line()->address.empty();
  node_->JoinNetwork(
      {.secret = net::Secret(message.secret()),
       .listen_address = member_->own_host(),
       .address = is_named ? own_line()->address : member_->own_host(),
       .send_cards = [this](const proto::Cards& cards) { member_->SendCards(cards); }});
}

void MemberAgent::OnAllSpawned() {
  if (own_line() == nullptr || std::exchange(started_told_, true)) return;
  record_->SaveRunning();
  SendByte(link_.get(), static_cast<uint8_t>(AgentNews::kStarted));
  record_->SaveSpec();
  node_->FlushEvents();
}

// ------------------------------------------------------------------------------------------ ending

void MemberAgent::OnJobOver(const proto::JobOver& over) {
  over_ = true;
  exit_status_ = over.exit_code();
  if (node_ == nullptr) return End(over.exit_code());
  if (own_line() != nullptr && over.has_verdict()) Print(over.verdict());
  record_->SaveEnd(over.exit_code());
  node_->FlushOutput(relay_ ? kFlushDeadline : kOwnFlushDeadline,
                     [this](const base::Status& flushed) {
                       if (flushed.ok()) node_->output_service().SetComplete();
                       if (relay_ == nullptr) return AwaitFollowers();
                       relay_->Finish(kRelayDeadline, [this] { AwaitFollowers(); });
                     });
}

void MemberAgent::AwaitFollowers() {
  node_->output_service().followers().AwaitNone(kFollowersTime, [this] { Leave(); });
}

/// The root cause of the job, on this node too.
void MemberAgent::Print(const proto::Verdict& verdict) {
  record_->SaveVerdict(verdict);
  node_->output().Print(RenderVerdict(verdict));
}

void MemberAgent::Leave() {
  member_->SayGoodbye(kGoodbyeTime, [this] { loop_.Quit(); });
}

void MemberAgent::OnMembershipLost(const base::Status& why) {
  if (over_) return;
  over_ = true;
  exit_status_ = static_cast<int>(ExitCode::kAgentLost);
  if (own_line() != nullptr && node_ != nullptr) return EndWithoutCoordinator(why);
  if (own_line() != nullptr && record_ == nullptr) return EndOutside(why);
  SayOnStderr(TextOf(why));
  if (record_ != nullptr) record_->SaveEnd(exit_status_);
  End(exit_status_);
}

/// It was never let in.
void MemberAgent::EndOutside(const base::Status& why) {
  const base::Status explained = ExplainRefusal(why);
  SayOnStderr(TextOf(explained));
  End(ExitStatusOfRefusal(explained));
}

/// Nobody else will tell the user of this node.
void MemberAgent::EndWithoutCoordinator(const base::Status& why) {
  const base::Round round = member_->round();
  RoundFacts facts;
  facts.job_id = config_.job_id->Get();
  facts.host = config_.here.host;
  facts.log_directory = record_->RoundFolder(round);
  facts.steady_now = clock_.Now();
  facts.wall_now = clock_.WallNow();
  Print(
      MakeVerdictWithoutRanks(proto::Verdict::NODE_LOST, round, exit_status_, TextOf(why), facts));
  record_->SaveEnd(exit_status_);
  node_->output().Flush(kOwnFlushDeadline, [this](const base::Status&) { loop_.Quit(); });
}

void MemberAgent::SayOnStderr(const std::string& text) const {
  const std::string who = config_.own_line ? "" : "agent on " + config_.here.host + ": ";
  std::fprintf(stderr, "lockstep: %s%s\n", who.c_str(), text.c_str());
}

void MemberAgent::OnLinkReadable() {
  uint8_t byte = 0;
  ReadOutcome outcome = ReadOutcome::kNothingYet;
  while ((outcome = ReadByte(link_.get(), &byte)) == ReadOutcome::kByte) {
    if (AsksForEnd(byte)) SendByte(link_.get(), static_cast<uint8_t>(AgentNews::kHeard));
    if (byte < static_cast<uint8_t>(FrontNews::kInForeground)) OnSignal(byte);
  }
  if (outcome != ReadOutcome::kClosed) return;
  link_watch_.reset();
  member_->Abandon(base::CancelledError("the process that guards this agent is gone"));
}

void MemberAgent::OnSignal(int signal) {
  if (AsksForEnd(signal)) return AskForStop(signal);
  // The terminal of the coordinator's node stops the gang as a whole; ours gets its prompt.
  if (signal == SIGTSTP) SendByte(link_.get(), static_cast<uint8_t>(AgentNews::kSuspended));
  if ((signal == SIGUSR1 || signal == SIGUSR2) && node_ != nullptr) {
    node_->ranks().ForwardSignal(signal);
  }
}

/// The job is stopped by one place; we ask that.
void MemberAgent::AskForStop(int signal) {
  if (over_) return loop_.Quit();  // nothing is left but somebody who does not read our output
  if (node_ == nullptr && own_line() != nullptr) return End(128 + signal);  // not in it yet
  proto::ControlRequest request;
  request.set_version(kControlVersion);
  request.mutable_stop()->set_signal(signal);
  request.mutable_stop()->set_reason("a signal to the agent on " + config_.here.host);
  member_->Ask(request, kAskTimeout, [this](const base::Result<proto::ControlReply>& reply) {
    if (!reply.ok()) member_->Abandon(reply.status());
  });
}

}  // namespace

int RunMemberAgent(MemberAgentConfig config, base::UniqueFd link) {
  ::signal(SIGPIPE, SIG_IGN);
  base::SetLogIdentity({.job = config.bootstrap.job_id(), .role = "agent"});
  const base::RealClock clock;
  const std::string who = config.own_line ? "" : "agent on " + config.here.host + ": ";
  const auto fail = [&who](const base::Status& why) {
    std::fprintf(stderr, "lockstep: %s%s\n", who.c_str(), TextOf(why).c_str());
    return static_cast<int>(why.code() == base::Code::kNotFound ? ExitCode::kNotFound
                                                                : ExitCode::kUnavailable);
  };
  base::Result<std::unique_ptr<event::EpollLoop>> loop = event::EpollLoop::Create(clock);
  if (!loop.ok()) return fail(loop.status());
  MemberAgent agent(std::move(config), std::move(link), clock, **loop);
  if (const base::Status status = agent.Open(); !status.ok()) return fail(status);
  return agent.Run();
}

}  // namespace lockstep::launcher
