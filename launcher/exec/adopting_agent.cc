// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/exec/adopting_agent.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "launcher/agent/control_server.h"
#include "launcher/agent/culprit_stacks.h"
#include "launcher/agent/job_record.h"
#include "launcher/agent/live_look.h"
#include "launcher/agent/live_status.h"
#include "launcher/agent/socket_folder.h"
#include "launcher/attach/attach_server.h"
#include "launcher/diagnosis/hang_times.h"
#include "launcher/exec/adopted_desk.h"
#include "launcher/exec/adopted_ranks.h"
#include "launcher/exec/adopted_watch.h"
#include "launcher/exec/election.h"
#include "launcher/jobs/job_addresses.h"
#include "launcher/jobs/job_directory.h"
#include "launcher/verbs/verb_context.h"
#include "launcher/verbs/verb_text.h"
#include "launcher/version.h"
#include "runtime/base/clock.h"
#include "runtime/base/logging.h"
#include "runtime/event/epoll_loop.h"
#include "runtime/net/channel_server.h"
#include "runtime/net/port_claim.h"
#include "runtime/process/foreign_process.h"
#include "runtime/process/real_processes.h"
#include "runtime/proto/adoption.pb.h"
#include "runtime/proto/event.pb.h"
#include "runtime/proto/status_conversion.h"
#include "runtime/telemetry/event_log.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;

// While none lives. Ranks of a gang wait for each other, so that only programs which end at once
// are ever missed: those that come later have a job of their own.
constexpr base::Duration kAwaitRanks = 2s;
constexpr base::Duration kSayWhyNot = 1s;   // to ranks, before an agent that cannot work ends
constexpr base::Duration kStopGrace = 30s;  // what ranks are told that a stop gives them
constexpr size_t kWaitingRanksMax = 4096;   // at once
constexpr int kIgnoredSignals[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM,
                                   SIGUSR1, SIGUSR2, SIGPIPE, SIGXFSZ};
const base::Round kRound;  // there is one

uint64_t RandomSeed() {
  uint64_t seed = 0;
  (void)!::getrandom(&seed, sizeof seed, GRND_NONBLOCK);  // an id is checked when it is made
  return seed;
}

/// Now, as /proc/PID/stat has the time at which a process was started.
uint64_t TicksSinceBoot() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  const auto per_second = static_cast<uint64_t>(::sysconf(_SC_CLK_TCK));
  return static_cast<uint64_t>(now.tv_sec) * per_second +
         static_cast<uint64_t>(now.tv_nsec) * per_second / 1'000'000'000;
}

class AdoptingAgent final {
 public:
  AdoptingAgent(AdoptingAgentConfig config, const base::Clock& clock, event::Loop& loop)
      : config_(std::move(config)), clock_(clock), loop_(loop) {}

  void Run(base::UniqueFd listener);
  bool broken() const { return !broken_.ok(); }

 private:
  void OnMessage(net::ConnectionId connection, std::string_view payload);
  base::Result<proto::Adopted> Adopt(const proto::AdoptRequest& request);
  base::Result<proto::Adopted> Place(const proto::AdoptRequest& request);

  base::Status Open(const proto::AdoptRequest& first);
  base::Status MakeDirectory(const proto::AdoptRequest& first);
  base::Status OpenServers(const proto::AdoptRequest& first);
  void BeginHelpers();
  void BeginWatch(const proto::AdoptRequest& first);
  std::vector<WatchedRank> RanksToWatch() const;
  std::string LogPath() const { return directory_->path() + "/agent.log"; }
  void OpenLog() const;
  void RemoveEmptyLog() const;
  void LogJobStarted(const proto::AdoptRequest& first);
  base::Result<int> MasterPort();

  bool IsNextJobs(const proto::AdoptRequest& request);
  void OnEnd(base::Rank rank);
  void AwaitMore(base::Duration time) {
    end_timer_ = loop_.After(time, [this] { End(); });
  }
  void EndSoon();
  void End();

  proto::StatusReply GetStatus(bool live) const;
  proto::StopReply Stop(const proto::StopRequest& request);
  void Log(proto::Event event) { events_->Append(kRound, std::move(event)); }

  AdoptingAgentConfig config_;
  const base::Clock& clock_;
  event::Loop& loop_;
  base::Status broken_;  // why it could not open what it needs
  bool ending_ = false;
  proto::JobState state_;
  std::optional<JobDirectory> directory_;  // this and what follows: once the first rank has come
  std::optional<AdoptedRanks> ranks_;
  base::SteadyTime started_at_{};
  std::map<base::Rank, int64_t> steps_;
  uint64_t last_end_ticks_ = 0;  // when a rank was last found to have ended

  // Destroyed in the opposite order, so that nobody calls what is gone.
  std::optional<net::PortClaim> port_;
  std::unique_ptr<telemetry::EventLog> events_;
  std::unique_ptr<JobRecord> record_;
  std::unique_ptr<AttachServer> attach_;
  std::unique_ptr<process::RealProcesses> helpers_;  // what reads stacks; null: none can be had
  std::unique_ptr<AdoptedWatch> watch_;
  std::unique_ptr<CulpritStacks> stacks_;  // when helpers_ is there
  std::unique_ptr<LiveLook> live_;         // when watch_ is there
  std::unique_ptr<AdoptedDesk> desk_;
  std::unique_ptr<ControlServer> control_;
  std::map<base::Rank, std::unique_ptr<process::ForeignProcess>> processes_;  // those that live
  std::unique_ptr<net::ChannelServer> waiting_;
  event::Registration end_timer_;
  event::Registration ending_turn_;
};

// ----------------------------------------------------------------------------------------- opening

void AdoptingAgent::Run(base::UniqueFd listener) {
  net::ChannelServer::Options options;
  options.connections_max = kWaitingRanksMax;
  waiting_ = net::ChannelServer::Serve(
      config_.address, std::move(listener),
      {.on_message = [this](net::ConnectionId connection,
                            std::string_view payload) { OnMessage(connection, payload); },
       .on_closed = nullptr},
      options, loop_);
  AwaitMore(kAwaitRanks);
  loop_.Run();
}

base::Status AdoptingAgent::Open(const proto::AdoptRequest& first) {
  started_at_ = clock_.Now();
  RETURN_IF_ERROR(MakeDirectory(first));
  OpenLog();
  base::SetLogIdentity({.job = directory_->job_id(), .role = "agent"});
  events_ = std::make_unique<telemetry::EventLog>(
      telemetry::EventLog::Options{.path = directory_->EventsPath(),
                                   .job_id = directory_->job_id(),
                                   .host = config_.here.host,
                                   .on_trouble =
                                       [](const base::Status& why) {
                                         LOG(WARNING) << "the event log is incomplete: " << why;
                                       }},
      loop_);
  record_ = std::make_unique<JobRecord>(
      JobRecord::Config{.directory = *directory_,
                        .state = state_,
                        .here = config_.here,
                        .socket_path = state_.socket_path(),
                        .spec_text = "",
                        .log_directory = ""},
      loop_, [](const base::Status& why) {
        LOG(WARNING) << "the job directory is incomplete, the job goes on: " << why;
      });
  RETURN_IF_ERROR(OpenServers(first));
  LogJobStarted(first);
  return base::OkStatus();
}

base::Status AdoptingAgent::MakeDirectory(const proto::AdoptRequest& first) {
  state_.set_phase(proto::JOB_PHASE_RUNNING);
  state_.set_rank_count(first.world_size());
  state_.set_command(first.command());
  state_.set_launcher(first.launcher());
  *state_.mutable_started() = ToTimestamp(clock_.WallNow());
  ASSIGN_OR_RETURN(*state_.mutable_agent(), IdentifyProcess(config_.here, ::getpid()));
  base::Result<JobDirectory> made =
      JobDirectory::Create(config_.jobs_root,
                           {.name = first.name(),
                            .name_is_users = first.name_is_users(),
                            .seed = RandomSeed(),
                            .socket_directory = config_.socket_directory,
                            .state = state_},
                           config_.here, *config_.files);
  const base::Code code = made.status().code();
  const bool in_use = code == base::Code::kAlreadyExists || code == base::Code::kDeadlineExceeded;
  if (!made.ok() && !in_use) return CannotWrite(made.status());
  if (!made.ok()) return made.status();
  directory_ = *std::move(made);
  state_.set_job_id(directory_->job_id());
  state_.set_name(first.name());
  state_.set_socket_path(ControlSocketPath(config_.socket_directory, directory_->job_id()));
  return base::OkStatus();
}

/// What we have to say goes into the job directory from now on.
void AdoptingAgent::OpenLog() const {
  const base::UniqueFd log(
      ::open(LogPath().c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (log.valid()) (void)::dup2(log.get(), STDERR_FILENO);
}

void AdoptingAgent::RemoveEmptyLog() const {
  struct stat log;
  if (::stat(LogPath().c_str(), &log) == 0 && log.st_size == 0) {
    (void)config_.files->RemoveFile(LogPath());
  }
}

base::Status AdoptingAgent::OpenServers(const proto::AdoptRequest& first) {
  AttachServer::Config attach;
  attach.socket_path = AttachSocketPath(config_.socket_directory, directory_->job_id());
  attach.job_id = directory_->job_id();
  attach.host = config_.here.host;
  attach.boot_id = config_.here.boot_id;
  attach.checkpoint_directory = first.checkpoint_directory();
  attach.on_progress = [this](base::Rank rank, base::Incarnation, int64_t step) {
    steps_[rank] = step;
  };
  base::Result<std::unique_ptr<AttachServer>> attached =
      AttachServer::Create(std::move(attach), loop_);
  if (!attached.ok()) return SocketTrouble(attached.status());
  attach_ = *std::move(attached);
  desk_ = std::make_unique<AdoptedDesk>(AdoptedDesk::Deps{
      .launcher = first.launcher(),
      .status = [this](bool live) { return GetStatus(live); },
      .stop = [this](const proto::StopRequest& request) { return Stop(request); },
      .hangs = [this](const proto::HangsRequest& request) -> base::Result<proto::HangsReply> {
        if (watch_ == nullptr) return base::FailedPreconditionError("no rank is watched now");
        return SetHangTimes(request, watch_->hangs());
      }});
  base::Result<std::unique_ptr<ControlServer>> control =
      ControlServer::Create(state_.socket_path(), *desk_, loop_);
  if (!control.ok()) return SocketTrouble(control.status());
  control_ = *std::move(control);
  return base::OkStatus();
}

void AdoptingAgent::BeginHelpers() {
  // No cgroups: this host's may be another launcher's.
  auto helpers =
      process::RealProcesses::Create({.mark = "stacks-" + directory_->job_id(),
                                      .containment = process::Containment::kSubreaperMark},
                                     loop_);
  if (!helpers.ok()) {
    LOG(WARNING) << "no stacks will be read: " << helpers.status();
    return;
  }
  helpers_ = *std::move(helpers);
  const char* const path = std::getenv("PATH");
  stacks_ = std::make_unique<CulpritStacks>(
      FindStackTools(path == nullptr ? "" : path),
      CulpritStacks::Deps{.loop = loop_, .processes = *helpers_, .record = *record_});
}

void AdoptingAgent::BeginWatch(const proto::AdoptRequest& first) {
  BeginHelpers();
  live_ = std::make_unique<LiveLook>(loop_, [this] { return RanksToWatch(); }, first.world_size());
  watch_ = std::make_unique<AdoptedWatch>(
      first.hangs(), EvidenceFacts{.job = directory_->job_id(), .host = config_.here.host},
      first.world_size(),
      AdoptedWatch::Deps{.clock = clock_,
                         .loop = loop_,
                         .record = *record_,
                         .ranks = [this] { return RanksToWatch(); },
                         .log = [this](proto::Event event) { Log(std::move(event)); },
                         .has_ended =
                             [this](base::Rank rank) {
                               const auto process = processes_.find(rank);
                               return process == processes_.end() || process->second->HasEnded();
                             },
                         .kill =
                             [this] {
                               for (const auto& [rank, process] : processes_) {
                                 if (!process->Signal(SIGKILL))
                                   LOG(WARNING) << "rank " << rank << " could not be killed";
                               }
                             },
                         .stacks = stacks_.get()});
}

std::vector<WatchedRank> AdoptingAgent::RanksToWatch() const {
  std::vector<WatchedRank> ranks;
  for (const auto& [rank, known] : ranks_->ranks()) {
    ranks.push_back({.rank = rank, .pid = known.pid, .ring_fd = attach_->RecorderFd(rank)});
    ranks.back().ended = known.ended;
    ranks.back().exit_is_known = false;  // its launcher has it
    ranks.back().ended_at = known.ended_at;
  }
  return ranks;
}

void AdoptingAgent::LogJobStarted(const proto::AdoptRequest& first) {
  proto::Event event;
  proto::JobStarted& started = *event.mutable_job_started();
  started.set_name(first.name());
  started.add_command(first.command());
  started.set_rank_count(first.world_size());
  started.set_lockstep_version(std::string(kVersion));
  started.set_agent_pid(::getpid());
  started.set_launcher(first.launcher());
  Log(std::move(event));
}

// ---------------------------------------------------------------------------------------- adopting

void AdoptingAgent::OnMessage(net::ConnectionId connection, std::string_view payload) {
  if (ending_) return;  // it will find our address free, or another agent there
  proto::AdoptRequest request;
  proto::AdoptReply reply;
  const bool readable = request.ParseFromArray(payload.data(), static_cast<int>(payload.size()));
  if (readable && IsNextJobs(request)) return EndSoon();
  base::Result<proto::Adopted> adopted =
      readable ? Adopt(request)
               : base::Result<proto::Adopted>(base::InvalidArgumentError("not a request to meet"));
  if (adopted.ok()) {
    *reply.mutable_adopted() = *std::move(adopted);
  } else {
    LOG(WARNING) << "refused a rank: " << adopted.status();
    *reply.mutable_error() = proto::ToProto(adopted.status());
  }
  (void)waiting_->Send(connection, reply);  // it may have been killed meanwhile
}

/// One launcher may start two jobs, one after the other. The second's ranks come before the loop
/// has told us that the last of the first has ended, or while we wait for one of the first that
/// never comes. Who was started when all others had ended is of no gang with them.
bool AdoptingAgent::IsNextJobs(const proto::AdoptRequest& request) {
  if (!ranks_) return false;
  for (auto it = processes_.begin(); it != processes_.end();) {
    const auto next = std::next(it);
    if (it->second->HasEnded()) OnEnd(it->first);
    it = next;
  }
  if (!ranks_->NobodyLives()) return false;
  return ranks_->HasCome(base::Rank(request.rank())) || request.start_ticks() > last_end_ticks_;
}

base::Result<proto::Adopted> AdoptingAgent::Adopt(const proto::AdoptRequest& request) {
  if (request.version() != kAdoptionVersion) {
    return base::FailedPreconditionError(
        "the job's agent on this host is another release of "
        "lockstep; use one for all ranks");
  }
  if (request.job_key() != config_.job_key) {
    return base::AlreadyExistsError("another job, \"" + config_.job_key +
                                    "\", has the address of this one; try again later");
  }
  RETURN_IF_ERROR(broken_);
  if (!ranks_) {
    AdoptedRanks ranks(request);
    RETURN_IF_ERROR(ranks.Check(request));
    broken_ = Open(request);
    if (!broken_.ok()) {
      AwaitMore(kSayWhyNot);
      return broken_;
    }
    ranks_ = std::move(ranks);
    BeginWatch(request);
  }
  return Place(request);
}

base::Result<proto::Adopted> AdoptingAgent::Place(const proto::AdoptRequest& request) {
  const base::Rank rank(request.rank());
  RETURN_IF_ERROR(ranks_->Check(request));
  const process::ForeignProcess::Config identity{.pid = static_cast<pid_t>(request.pid()),
                                                 .start_ticks = request.start_ticks()};
  ASSIGN_OR_RETURN(std::unique_ptr<process::ForeignProcess> process,
                   process::ForeignProcess::Watch(identity, [this, rank] { OnEnd(rank); }, loop_));
  proto::Adopted adopted;
  if (request.wants_master_port()) {
    ASSIGN_OR_RETURN(const int port, MasterPort());
    adopted.set_master_port(port);
  }
  ranks_->Add(request);
  processes_[rank] = std::move(process);
  end_timer_.reset();
  AttachServer::RankWorld world;
  world.rank = rank;
  world.local_rank = base::LocalRank(request.local_rank());
  world.world_size = request.world_size();
  world.local_world_size = request.local_world_size();
  world.node_index = base::NodeIndex(request.node_index());
  // Where nobody tells: at least these.
  const int nodes_at_least = request.local_world_size() == request.world_size() ? 1 : 2;
  world.node_count = request.has_node_count() ? request.node_count() : nodes_at_least;
  adopted.set_cookie(attach_->AddRank(world));
  adopted.set_job_id(directory_->job_id());
  adopted.set_socket_path(attach_->socket_path());
  adopted.set_checkpoint_directory(request.checkpoint_directory());
  adopted.set_stop_grace_ns(base::Duration(kStopGrace).count());

  proto::Event event;
  event.mutable_rank_adopted()->set_rank(rank.value());
  event.mutable_rank_adopted()->set_local_rank(request.local_rank());
  event.mutable_rank_adopted()->set_pid(request.pid());
  Log(std::move(event));
  return adopted;
}

base::Result<int> AdoptingAgent::MasterPort() {
  if (!port_) {
    ASSIGN_OR_RETURN(port_, net::PortClaim::Create(directory_->job_id(), net::ReadKernelPorts()));
  }
  return port_->port();
}

// ------------------------------------------------------------------------------------------ ending

void AdoptingAgent::OnEnd(base::Rank rank) {
  last_end_ticks_ = TicksSinceBoot();
  proto::Event event;
  event.mutable_adopted_rank_ended()->set_rank(rank.value());
  event.mutable_adopted_rank_ended()->set_pid(processes_.at(rank)->pid());
  Log(std::move(event));
  processes_.erase(rank);
  ranks_->End(rank, loop_.Now());
  if (ranks_->IsOver()) return EndSoon();
  if (ranks_->NobodyLives()) AwaitMore(kAwaitRanks);
}

/// Not within a callback of what End() destroys.
void AdoptingAgent::EndSoon() {
  ending_ = true;
  ending_turn_ = loop_.After(base::Duration(0), [this] { End(); });
}

void AdoptingAgent::End() {
  ending_ = true;
  // First: from now on the next job's ranks find no agent here, or another one.
  waiting_.reset();
  if (ranks_) {
    proto::Event event;
    event.mutable_job_ended()->set_decision("ended");
    Log(std::move(event));
  }
  if (directory_) {
    record_->SaveEnd(std::nullopt);
    control_.reset();
    live_.reset();
    stacks_.reset();
    watch_.reset();
    helpers_.reset();
    attach_.reset();
    events_->Flush();
    if (const base::Status finished = directory_->Finish(); !finished.ok()) {
      LOG(WARNING) << finished;
    }
    RemoveEmptyLog();
  }
  loop_.Quit();
}

// --------------------------------------------------------------------------------------- for verbs

proto::StatusReply AdoptingAgent::GetStatus(bool live) const {
  proto::StatusReply status = AdoptedStatus(*ranks_, steps_);
  status.set_job_id(directory_->job_id());
  status.set_host(config_.here.host);
  status.set_job_age_ns((clock_.Now() - started_at_).count());
  status.set_round_age_ns(status.job_age_ns());
  // It looks at this host alone, so its answer comes at once.
  if (live && live_ != nullptr)
    live_->Take([&](const proto::StatusReply& seen) { AddLive(seen, status); });
  if (watch_ != nullptr) watch_->Describe(live, status);
  return status;
}

proto::StopReply AdoptingAgent::Stop(const proto::StopRequest& request) {
  proto::Event event;
  event.mutable_stop_requested()->set_signal(SIGTERM);
  event.mutable_stop_requested()->set_source("lockstep stop");
  event.mutable_stop_requested()->set_reason(request.reason());
  Log(std::move(event));
  attach_->RequestStop(kStopGrace);
  for (const auto& [rank, process] : processes_) {
    if (!process->Signal(SIGTERM)) LOG(WARNING) << "rank " << rank << " could not be sent SIGTERM";
  }
  proto::StopReply reply;
  reply.set_grace_ns(base::Duration(kStopGrace).count());
  return reply;
}

/// Each rank costs us a pidfd and a connection or two.
void RaiseFileLimit() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  files.rlim_cur = files.rlim_max;
  (void)::setrlimit(RLIMIT_NOFILE, &files);
}

}  // namespace

int RunAdoptingAgent(AdoptingAgentConfig config, base::UniqueFd listener) {
  for (const int signal : kIgnoredSignals) ::signal(signal, SIG_IGN);
  base::SetLogIdentity({.job = "", .role = "agent"});
  RaiseFileLimit();
  const base::RealClock clock;
  base::Result<std::unique_ptr<event::EpollLoop>> loop = event::EpollLoop::Create(clock);
  if (!loop.ok()) return 1;  // the ranks that wait see the socket close, and elect another agent
  AdoptingAgent agent(std::move(config), clock, **loop);
  agent.Run(std::move(listener));
  return agent.broken() ? 1 : 0;
}

}  // namespace lockstep::launcher
