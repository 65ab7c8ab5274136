// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/member_agent.h"

#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "launcher/agent/control_server.h"
#include "launcher/agent/job_record.h"
#include "launcher/agent/node_runtime.h"
#include "launcher/agent/program_file.h"
#include "launcher/agent/rank_setup.h"
#include "launcher/cluster/member.h"
#include "launcher/cluster/output_relay.h"
#include "launcher/cluster/protocol.h"
#include "launcher/exit_codes.h"
#include "launcher/front/front_link.h"
#include "launcher/jobs/job_addresses.h"
#include "launcher/jobs/job_directory.h"
#include "launcher/verdict/root_cause.h"
#include "launcher/version.h"
#include "runtime/base/clock.h"
#include "runtime/base/logging.h"
#include "runtime/event/epoll_loop.h"
#include "runtime/event/signal_source.h"
#include "runtime/net/endpoint.h"
#include "runtime/net/port_claim.h"
#include "runtime/net/tcp_network.h"
#include "runtime/net/tls_transport.h"
#include "runtime/proto/status_conversion.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;

constexpr base::Duration kConnectTimeout = 30s;
constexpr base::Duration kFlushDeadline = 10s;  // of a slow disk
constexpr base::Duration kAskTimeout = 5s;
// At the end of the job, together less than the coordinator waits for our goodbye.
constexpr base::Duration kRelayDeadline = 2s;  // of a slow console
constexpr base::Duration kFollowersTime = 2s;
constexpr base::Duration kGoodbyeTime = 2s;  // to be heard, by one who may be slow to read

/// Whole, where there is more to it than the message.
std::string TextOf(const base::Status& why) {
  return why.cause() == nullptr ? why.message() : why.ToString();
}

class MemberAgent final : public MemberDelegate, public ControlTarget {
 public:
  MemberAgent(MemberAgentConfig config, base::UniqueFd link, const base::Clock& clock,
              event::Loop& loop)
      : config_(std::move(config)), clock_(clock), loop_(loop), link_(std::move(link)) {}

  base::Status Open();
  int Run();

  base::Result<NodeRanks*> OnWelcome(const proto::Welcome& welcome) override;
  void OnWorld(const proto::World& world) override;
  void OnOutputCredit(uint64_t bytes) override { relay_->AddCredit(bytes); }
  void AnswerHere(const proto::ControlRequest& request, OnAnswer answer) override;
  void OnJobOver(const proto::JobOver& over) override;
  void OnMembershipLost(const base::Status& why) override;

  void Answer(const proto::ControlRequest& request, Reply reply) override;

 private:
  const proto::Bootstrap& bootstrap() const { return config_.bootstrap; }
  JobDirectory DirectoryOf(const std::string& job_id) const {
    return {config_.jobs_root + "/" + job_id, job_id, config_.here.host, *config_.files};
  }

  base::Status CheckMachine() const;
  base::Status ChooseFolder();
  base::Status CheckProgram();
  proto::Hello MakeHello(int master_port) const;
  base::Status Connect();
  base::Status OpenRecord(const proto::Welcome& welcome);
  void OnConnected(base::Result<std::unique_ptr<net::Connection>> connection);
  void OnLinkReadable();
  void OnSignal(int signal);
  void Leave();
  void End(int exit_status) {
    exit_status_ = exit_status;
    loop_.Quit();
  }

  MemberAgentConfig config_;
  const base::Clock& clock_;
  event::Loop& loop_;
  base::UniqueFd link_;
  int exit_status_ = static_cast<int>(ExitCode::kInternal);
  bool over_ = false;
  std::string folder_;        // where ranks start; "" = as the welcome says
  std::string program_hash_;  // as elastic::NodeFacts has it

  // Destroyed in the opposite order, so that nobody calls what is gone.
  std::optional<net::PortClaim> port_;
  std::unique_ptr<net::TcpNetwork> network_;
  std::unique_ptr<OutputRelay> relay_;
  std::unique_ptr<Member> member_;
  std::unique_ptr<JobRecord> record_;
  std::unique_ptr<NodeRuntime> node_;
  std::unique_ptr<ControlServer> control_;
  std::unique_ptr<event::SignalSource> signals_;
  std::unique_ptr<net::Connecting> connecting_;
  event::Registration link_watch_;
};

// ------------------------------------------------------------------------------------------ joining

/// Two agents of one job on one machine would have the same sockets and files.
base::Status MemberAgent::CheckMachine() const {
  if (bootstrap().launcher_host() != config_.here.host ||
      bootstrap().launcher_boot_id() != config_.here.boot_id) {
    return base::OkStatus();
  }
  return base::FailedPreconditionError(
      "it is the machine that lockstep run is on, under another name; write " + config_.here.host +
      " or localhost in the list of hosts");
}

base::Status MemberAgent::ChooseFolder() {
  const std::string& wanted = bootstrap().working_directory();
  std::error_code error;
  if (wanted.empty() || std::filesystem::is_directory(wanted, error)) {
    folder_ = wanted;
    return base::OkStatus();
  }
  if (bootstrap().working_directory_is_wanted()) {
    return base::NotFoundError("the working directory " + wanted +
                               " is not there; make it, or name another one (--working-dir)");
  }
  folder_ = std::filesystem::current_path(error).string();
  std::fprintf(stderr, "lockstep: the folder %s is not there; ranks start in %s\n", wanted.c_str(),
               folder_.c_str());
  return base::OkStatus();
}

base::Status MemberAgent::CheckProgram() {
  if (bootstrap().program().empty()) return base::OkStatus();
  ProgramFile program{bootstrap().program(), bootstrap().program_word() > 0};
  if (!bootstrap().staged_program().empty()) program.name = bootstrap().staged_program();
  ASSIGN_OR_RETURN(const std::string path, FindProgram(program, config_.environment, folder_));
  program_hash_ = HashProgram(path);
  return base::OkStatus();
}

base::Status MemberAgent::Open() {
  RETURN_IF_ERROR(CheckMachine());
  RETURN_IF_ERROR(ChooseFolder());
  RETURN_IF_ERROR(CheckProgram());
  ASSIGN_OR_RETURN(port_, net::PortClaim::Create(bootstrap().job_id() + config_.here.host,
                                                 net::ReadKernelPorts()));
  ASSIGN_OR_RETURN(
      relay_, OutputRelay::Create(
                  [this](const proto::Output& output) { member_->SendOutput(output); }, loop_));
  member_ = std::make_unique<Member>(Member::Config{.hello = MakeHello(port_->port())},
                                     Member::Deps{loop_, *this});
  ASSIGN_OR_RETURN(signals_, event::SignalSource::Create(
                                 loop_, {SIGINT, SIGTERM, SIGHUP, SIGQUIT},
                                 [this](const event::Signal& signal) { OnSignal(signal.number); }));
  link_watch_ =
      loop_.Watch(link_.get(), {.readable = true}, [this](event::Readiness) { OnLinkReadable(); });
  return Connect();
}

proto::Hello MemberAgent::MakeHello(int master_port) const {
  proto::Hello hello;
  hello.set_protocol(kAgentProtocol);
  hello.set_lockstep_version(std::string(kVersion));
  hello.set_job_id(bootstrap().job_id());
  hello.set_host(config_.here.host);
  hello.set_boot_id(config_.here.boot_id);
  hello.set_pid(::getpid());
  hello.set_slots(bootstrap().slots());
  hello.set_wanted_node(bootstrap().node());
  hello.set_master_port(master_port);
  hello.set_program_hash(program_hash_);
  hello.set_jobs_root(config_.jobs_root);
  return hello;
}

base::Status MemberAgent::Connect() {
  std::vector<net::Endpoint> coordinators;
  for (const std::string& text : bootstrap().coordinators()) {
    ASSIGN_OR_RETURN(net::Endpoint endpoint, net::ParseEndpoint(text));
    coordinators.push_back(std::move(endpoint));
  }
  const net::NodeCredentials credentials{.ca_certificate = bootstrap().ca_certificate(),
                                         .certificate = bootstrap().certificate(),
                                         .key = net::Secret(bootstrap().key())};
  std::string& key = *config_.bootstrap.mutable_key();
  ::explicit_bzero(key.data(), key.size());
  ASSIGN_OR_RETURN(std::unique_ptr<net::TlsTransport> transport,
                   net::TlsTransport::Create(credentials));
  network_ =
      std::make_unique<net::TcpNetwork>(std::move(transport), net::Channel::Options{}, loop_);
  connecting_ =
      network_->Connect(std::move(coordinators), kConnectTimeout,
                        [this](base::Result<std::unique_ptr<net::Connection>> connection) {
                          OnConnected(std::move(connection));
                        });
  return base::OkStatus();
}

void MemberAgent::OnConnected(base::Result<std::unique_ptr<net::Connection>> connection) {
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
  RETURN_IF_ERROR(OpenRecord(welcome));
  proto::JobSpec spec = welcome.job().spec();
  if (!folder_.empty()) {
    spec.mutable_program()->set_working_directory(folder_);
  } else if (spec.program().working_directory().empty()) {
    spec.mutable_program()->set_working_directory(welcome.working_directory());
  }
  std::vector<std::string> arguments(welcome.arguments().begin(), welcome.arguments().end());
  const auto word = static_cast<size_t>(bootstrap().program_word());
  if (!bootstrap().staged_program().empty() && word < arguments.size()) {
    arguments[word] = bootstrap().staged_program();
  }
  ASSIGN_OR_RETURN(node_,
                   NodeRuntime::Create({.spec = std::move(spec),
                                        .arguments = std::move(arguments),
                                        .environment = std::move(config_.environment),
                                        .job_id = welcome.job_id(),
                                        .events_path = DirectoryOf(welcome.job_id()).EventsPath(),
                                        .host = config_.here.host,
                                        .boot_id = config_.here.boot_id,
                                        .socket_directory = config_.socket_directory,
                                        .local_rank_count = bootstrap().slots(),
                                        .reads_stdin = false,
                                        .stdout_fd = relay_->stdout_fd(),
                                        .stderr_fd = relay_->stderr_fd(),
                                        .color_stdout = bootstrap().color_stdout(),
                                        .color_stderr = bootstrap().color_stderr()},
                                       {clock_, loop_, *record_, *member_}));
  ASSIGN_OR_RETURN(
      control_, ControlServer::Create(ControlSocketPath(config_.socket_directory, welcome.job_id()),
                                      *this, loop_));
  return &node_->ranks();
}

base::Status MemberAgent::OpenRecord(const proto::Welcome& welcome) {
  const std::string& job_id = welcome.job_id();
  const JobDirectory directory = DirectoryOf(job_id);
  // It is there already where nodes share a home.
  const base::Status made = config_.files->MakeDirectory(directory.path());
  if (!made.ok() && made.code() != base::Code::kAlreadyExists) return made;
  proto::JobState state;
  state.set_job_id(job_id);
  state.set_name(welcome.job_name());
  state.set_rank_count(welcome.job().spec().gang().total_processes());
  state.set_log_directory(
      LogFolderOf(welcome.job().spec().logs(), welcome.working_directory(), job_id));
  state.set_node_count(welcome.job().spec().gang().nodes());
  state.set_command(CommandText({welcome.arguments().begin(), welcome.arguments().end()}));
  const std::string log_directory = state.log_directory();
  record_ = std::make_unique<JobRecord>(
      JobRecord::Config{.directory = directory,
                        .state = std::move(state),
                        .here = config_.here,
                        .socket_path = ControlSocketPath(config_.socket_directory, job_id),
                        .spec_text = "",
                        .log_directory = log_directory},
      loop_, [this](const base::Status& why) {
        if (node_ != nullptr) {
          node_->Say("the job directory is incomplete, the job goes on: " + why.ToString());
        }
      });
  record_->SaveRunning();
  return base::OkStatus();
}

void MemberAgent::OnWorld(const proto::World& message) {
  topology::WorldSpec world;
  std::vector<proto::JobNodeFacts> nodes;
  for (const proto::WorldNode& node : message.nodes()) {
    world.nodes.push_back({.host = node.host(), .slots = node.slots()});
    proto::JobNodeFacts& facts = nodes.emplace_back();
    facts.set_host(node.host());
    facts.set_slots(node.slots());
    const bool as_before = node.log_folder().empty() && nodes.size() > 1;
    facts.set_log_folder(as_before ? nodes[nodes.size() - 2].log_folder() : node.log_folder());
  }
  world.role = message.role();
  world.master_address = message.master_address();
  world.master_port = message.master_port();
  const base::NodeIndex self(bootstrap().node());
  record_->SetNodes(std::move(nodes), self);
  record_->SaveRunningSoon();
  node_->SetWorld(std::move(world), self);
}

// ------------------------------------------------------------------------------------------- ending

void MemberAgent::OnJobOver(const proto::JobOver& over) {
  over_ = true;
  exit_status_ = over.exit_code();
  if (record_ == nullptr) return End(over.exit_code());
  record_->SaveEnd(over.exit_code());
  node_->FlushOutput(kFlushDeadline, [this](const base::Status& flushed) {
    if (flushed.ok()) node_->output_service().SetComplete();
    relay_->Finish(kRelayDeadline, [this] {
      node_->output_service().followers().AwaitNone(kFollowersTime, [this] { Leave(); });
    });
  });
}

void MemberAgent::Leave() {
  member_->SayGoodbye(kGoodbyeTime, [this] { loop_.Quit(); });
}

void MemberAgent::OnMembershipLost(const base::Status& why) {
  if (over_) return;
  over_ = true;
  const int exit_status = static_cast<int>(ExitCode::kAgentLost);
  std::fprintf(stderr, "lockstep: agent on %s: %s\n", config_.here.host.c_str(),
               TextOf(why).c_str());
  if (record_ != nullptr) record_->SaveEnd(exit_status);
  End(exit_status);
}

void MemberAgent::OnLinkReadable() {
  uint8_t byte = 0;
  ReadOutcome outcome = ReadOutcome::kNothingYet;
  while ((outcome = ReadByte(link_.get(), &byte)) == ReadOutcome::kByte) {
    if (byte < static_cast<uint8_t>(FrontNews::kInForeground)) OnSignal(byte);
  }
  if (outcome != ReadOutcome::kClosed) return;
  link_watch_.reset();
  member_->Abandon(base::CancelledError("the process that guards this agent is gone"));
}

/// The job is stopped by one place; we ask that.
void MemberAgent::OnSignal(int signal) {
  proto::ControlRequest request;
  request.set_version(kControlVersion);
  request.mutable_stop()->set_signal(signal);
  request.mutable_stop()->set_reason("a signal to the agent on " + config_.here.host);
  member_->Ask(request, kAskTimeout, [this](const base::Result<proto::ControlReply>& reply) {
    if (!reply.ok()) member_->Abandon(reply.status());
  });
}

// ---------------------------------------------------------------------------------------- for verbs

void MemberAgent::Answer(const proto::ControlRequest& request, Reply reply) {
  const bool reads_output = request.kind_case() == proto::ControlRequest::kReadOutput;
  if (reads_output && node_->output_service().IsHere(request.read_output())) {
    return node_->output_service().Answer(request.read_output(), std::move(reply));
  }
  member_->Ask(request, kAskTimeout,
               [this, request, reply](const base::Result<proto::ControlReply>& answer) {
                 const proto::ControlReply said = answer.ok() ? *answer : Refusal(answer.status());
                 // It reads another node's files through this agent.
                 node_->output_service().followers().Note(request.read_output(), said);
                 reply(said);
               });
}

void MemberAgent::AnswerHere(const proto::ControlRequest& request, OnAnswer answer) {
  if (request.kind_case() == proto::ControlRequest::kReadOutput && node_ != nullptr) {
    return node_->output_service().Answer(request.read_output(), std::move(answer));
  }
  answer(Refusal(base::UnimplementedError("this agent does not know such a request")));
}

}  // namespace

int RunMemberAgent(MemberAgentConfig config, base::UniqueFd link) {
  ::signal(SIGPIPE, SIG_IGN);
  base::SetLogIdentity({.job = config.bootstrap.job_id(), .role = "agent"});
  const base::RealClock clock;
  const std::string host = config.here.host;
  const auto fail = [&host](const base::Status& why) {
    std::fprintf(stderr, "lockstep: agent on %s: %s\n", host.c_str(), TextOf(why).c_str());
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
