// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/node_runtime.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <utility>

#include "launcher/agent/job_events.h"
#include "launcher/agent/program_file.h"
#include "launcher/agent/rank_world.h"
#include "launcher/agent/socket_folder.h"
#include "launcher/jobs/job_addresses.h"
#include "launcher/mpi/make_mpi_server.h"
#include "launcher/mpi/watch_shim.h"
#include "launcher/verdict/error_file.h"
#include "launcher/verdict/root_cause.h"
#include "runtime/base/logging.h"
#include "runtime/topology/mpi_environment.h"

namespace lockstep::launcher {
namespace {

constexpr int kConsolePipeBytes = 1 << 20;  // fs.pipe-max-size's default

/// Of a console that is a pipe. In one of 64 KiB, the kernel's default, each block of output waits
/// several times until its reader is given a processor: with 8 nodes x 4 ranks on 2 cores a fifth
/// less was shown in a second. What is no pipe, is larger already, or must not be stays as it is.
void WidenPipe(int fd) {
  const int bytes = ::fcntl(fd, F_GETPIPE_SZ);
  if (bytes > 0 && bytes < kConsolePipeBytes) (void)::fcntl(fd, F_SETPIPE_SZ, kConsolePipeBytes);
}

/// Of what each rank starts. One that is not there, or cannot be read, is told of when it is
/// started.
ProgramImage LookAtProgram(const NodeRuntime::Config& config,
                           const topology::Environment& environment) {
  const std::string& folder = config.spec.program().working_directory();
  const base::Result<std::string> path =
      FindProgram({.name = config.arguments.front(), .is_script = false}, environment, folder);
  if (!path.ok()) return {};
  base::Result<ProgramImage> image = ReadProgramImage(*path);
  return image.ok() ? *std::move(image) : ProgramImage{};
}

}  // namespace

base::Result<std::unique_ptr<NodeRuntime>> NodeRuntime::Create(Config config, Deps deps) {
  std::unique_ptr<NodeRuntime> node(new NodeRuntime(std::move(config), deps));
  RETURN_IF_ERROR(node->Open());
  return node;
}

NodeRuntime::NodeRuntime(Config config, Deps deps)
    : config_(std::move(config)),
      deps_(deps),
      facts_(JobFactsOf(config_.spec, config_.job_id, config_.environment)),
      rotations_(std::make_shared<process::RotationLedger>()),
      output_service_(deps.record, rotations_, deps.loop) {}

base::Status NodeRuntime::Open() {
  RaiseFileLimit();
  if (config_.console == nullptr) WidenPipe(STDOUT_FILENO);
  events_ = std::make_unique<telemetry::EventLog>(
      telemetry::EventLog::Options{.path = config_.events_path,
                                   .job_id = facts_.job_id,
                                   .host = config_.host,
                                   .on_trouble =
                                       [this](const base::Status& why) {
                                         Say("the event log is incomplete: " + why.ToString());
                                       }},
      deps_.loop);
  std::function<void(uint64_t)> on_dropped;
  if (config_.console_drops)
    on_dropped = [this](uint64_t lines) { SayDropped(lines, self_, FilesLackSome()); };
  ASSIGN_OR_RETURN(
      output_,
      process::OutputPump::Create(
          {.rank_count = config_.local_rank_count,
           .console = config_.console,
           .color_stdout = config_.color_stdout,
           .color_stderr = config_.color_stderr,
           .on_dropped = std::move(on_dropped),
           .files = FileLimitsOf(config_.spec.logs()),
           .ledger = rotations_,
           .on_trouble = [this](process::OutputPump::Sink sink,
                                const base::Status& why) { OnOutputTrouble(sink, why); },
           .on_file_notice = [this](const process::FileNotice& notice) { OnFileNotice(notice); }},
          deps_.loop));
  ASSIGN_OR_RETURN(processes_,
                   process::RealProcesses::Create({.mark = JobMark(facts_.job_id)}, deps_.loop));
  ranks_ = std::make_unique<RankProcesses>(
      RankProcesses::Deps{deps_.loop, *processes_, *this, deps_.news});
  const auto path = config_.environment.find("PATH");
  stacks_ = std::make_unique<NodeStacks>(
      FindStackTools(path == config_.environment.end() ? "" : path->second),
      NodeStacks::Deps{.loop = deps_.loop, .processes = *processes_, .ranks = [this] {
                         return RanksToWatch();
                       }});
  if (config_.reads_stdin && config_.spec.logs().stdin_reader().has_rank()) {
    ASSIGN_OR_RETURN(stdin_, process::StdinForwarder::Create(STDIN_FILENO, deps_.loop));
    stdin_->SetPaused(::isatty(STDIN_FILENO) == 1);  // until the front says whose input it is
  }
  RETURN_IF_ERROR(OpenMpi());
  return OpenAttach();
}

/// We hold some eight descriptors for each rank; the soft limit is there for programs that use
/// select(), and ranks get it back.
void NodeRuntime::RaiseFileLimit() {
  ::getrlimit(RLIMIT_NOFILE, &rank_files_);
  rlimit all = rank_files_;
  all.rlim_cur = all.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &all);
}

base::Status NodeRuntime::OpenAttach() {
  AttachServer::Config config;
  config.socket_path = AttachSocketPath(config_.socket_directory, facts_.job_id);
  config.job_id = facts_.job_id;
  config.host = config_.host;
  config.boot_id = config_.boot_id;
  config.checkpoint_directory = facts_.checkpoint_directory;
  config.cards = cards_.get();
  config.on_progress = [this](base::Rank rank, base::Incarnation incarnation, int64_t step) {
    deps_.news.OnProgress({rank, incarnation}, step);
  };
  config.keeps_survivors = config_.spec.restart().on_rank_failure() == proto::RANK_FAILURE_KEEP;
  config.on_accused = [this](base::Rank rank, base::Incarnation incarnation,
                             const elastic::GoneRank& accused) {
    deps_.news.OnAccused({rank, incarnation}, accused);
  };
  base::Result<std::unique_ptr<AttachServer>> attach =
      AttachServer::Create(std::move(config), deps_.loop);
  if (!attach.ok()) return SocketTrouble(attach.status());
  attach_ = *std::move(attach);
  return base::OkStatus();
}

base::Status NodeRuntime::OpenMpi() {
  const topology::Environment variables = VariablesOf(config_.spec.program());
  topology::Environment environment = config_.environment;
  for (const auto& [name, value] : variables) environment[name] = value;
  const ProgramImage program = LookAtProgram(config_, environment);
  RETURN_IF_ERROR(ChooseWatch(program, environment));
  ASSIGN_OR_RETURN(
      mpi_,
      MakeMpiServer(
          ChooseMpiServer(config_.spec.program().mpi(), program),
          {.job_id = facts_.job_id,
           .host = config_.host,
           .all_ranks_here = config_.all_ranks_here,
           .keeps_survivors = config_.spec.restart().on_rank_failure() == proto::RANK_FAILURE_KEEP,
           .lockstep_folder = OwnFolder(),
           .folder = MpiFolder(::getuid(), facts_.job_id),
           .log_path = std::filesystem::path(config_.events_path).parent_path() / "pmix.log",
           .environment = std::move(environment),
           .on_abort = [this](base::Rank rank, int code) { OnMpiAbort(rank, code); },
           .on_ended = [this](const std::string& why) { Say(why); }},
          {deps_.loop, *processes_}));
  return base::OkStatus();
}

base::Status NodeRuntime::ChooseWatch(const ProgramImage& program,
                                      const topology::Environment& environment) {
  const std::string& name = config_.arguments.front();
  const std::string asked = WatchWord(config_.spec.hangs().watch());
  unwatched_ = WhyNotWatched(asked, program, name, environment, config_.all_ranks_here);
  watch_ = {.watch = WatchFor(asked, program, environment), .folder = OwnFolder(), .trouble = ""};
  if (config_.all_ranks_here) return CheckWatch(watch_.watch, program, name, watch_.folder);
  const std::string job_folder = std::filesystem::path(config_.events_path).parent_path();
  ASSIGN_OR_RETURN(watch_, ChooseFarWatch(watch_.watch, program, name, watch_.folder, job_folder));
  return base::OkStatus();
}

void NodeRuntime::SayWhatIsNotWatched() {
  const auto is_here = [this](const topology::RankPlace& place) { return place.node == self_; };
  if (std::none_of(places_.begin(), places_.end(), is_here)) return;
  if (!watch_.trouble.empty()) {
    Say("NCCL calls of ranks on " + config_.host +
        " are not recorded, and a hang in them may not be seen: " + watch_.trouble);
  }
  // The program is the same on all nodes: one of them says it.
  if (!unwatched_.empty() && is_here(places_.front())) Say(unwatched_);
}

base::Status NodeRuntime::BeginMpiRound() {
  return mpi_ == nullptr ? base::OkStatus()
                         : mpi_->BeginRound(facts_.round, static_cast<int>(places_.size()));
}

/// Some MPIs end such a rank themselves, some await that it is done to them.
void NodeRuntime::OnMpiAbort(base::Rank rank, int code) {
  const auto found = mpi_ranks_.find(rank);
  if (found == mpi_ranks_.end() || !aborted_.emplace(rank, code).second) return;
  Say("rank " + rank.ToString() + " called MPI_Abort with code " + std::to_string(code));
  ranks_->SignalLeaders(SIGKILL, {found->second});
}

elastic::RankExit NodeRuntime::ExitOf(base::Rank rank, const process::Exit& exit) const {
  const auto aborted = aborted_.find(rank);
  if (aborted == aborted_.end()) return {exit.code, exit.signal, exit.out_of_memory, ""};
  // A gang that was aborted has not ended well, whatever its code.
  const int code = aborted->second & 0xff;
  return {code == 0 ? 1 : code, 0, false, ""};
}

/// For ranks that come after a log-out has removed the socket (socket_folder.h).
base::Status NodeRuntime::RestoreAttach() {
  // None at all: the last round could not open it either.
  if (attach_ != nullptr && ::access(attach_->socket_path().c_str(), F_OK) == 0) {
    return base::OkStatus();
  }
  attach_.reset();  // before another one has the path: it removes what is there
  base::Result<std::string> folder = FolderForNewSockets(config_.socket_directory);
  if (!folder.ok()) return SocketTrouble(folder.status());
  config_.socket_directory = *std::move(folder);
  RETURN_IF_ERROR(OpenAttach());
  Say("the job's sockets were removed, by a log-out perhaps; new ones are in " +
      config_.socket_directory);
  return base::OkStatus();
}

base::Result<int> NodeRuntime::ClaimMasterPort() {
  ASSIGN_OR_RETURN(net::PortClaim claim,
                   net::PortClaim::Create(facts_.job_id, net::ReadKernelPorts()));
  const int port = claim.port();
  port_ = std::move(claim);
  return port;
}

void NodeRuntime::SetWorld(topology::WorldSpec world, base::NodeIndex self) {
  world_ = std::move(world);
  self_ = self;
  places_ = topology::PlaceRanks(world_);
  output_service_.SetWorld(world_, self_);
}

void NodeRuntime::JoinNetwork(NodeNetwork network) {
  network_ = std::move(network);
  cards_ = std::make_unique<NodeCards>(NodeCards::Deps{
      deps_.loop, network_->send_cards,
      [this](uint64_t connection, const base::Status& error, int fd, uint64_t table_bytes) {
        if (attach_ != nullptr) attach_->AnswerCard(connection, error, fd, table_bytes);
      }});
  if (attach_ != nullptr) attach_->SetCarrier(cards_.get());
}

/// Of ranks of several nodes, in the round that begins.
base::Status NodeRuntime::BeginMeetings(base::Round round) {
  if (!network_ || attach_ == nullptr) return base::OkStatus();
  ASSIGN_OR_RETURN(RankNetwork network,
                   RankNetworkOf(*network_, facts_.job_id, round, config_.boot_id,
                                 config_.spec.placement().ports()));
  attach_->SetNetwork(std::move(network));
  const auto rank_count =
      std::count_if(places_.begin(), places_.end(),
                    [this](const topology::RankPlace& place) { return place.node == self_; });
  cards_->BeginRound(round, static_cast<size_t>(rank_count));
  return base::OkStatus();
}

void NodeRuntime::OnOutputTrouble(process::OutputPump::Sink sink, const base::Status& why) {
  const bool files = sink == process::OutputPump::Sink::kFiles;
  files_lack_some_ = files_lack_some_ || files;
  Log(OutputTroubleEvent(files ? "files" : "console", why));
  Say((files ? "the ranks' log files stopped, the job goes on: "
             : "ranks' output is no longer shown, the job goes on: ") +
      why.ToString());
}

void NodeRuntime::SayDropped(uint64_t lines, base::NodeIndex node, bool files_lack_some) {
  if (lines > 0) Say(DroppedText({lines, node, node == self_, files_lack_some}));
}

std::string NodeRuntime::Here() const {
  return world_.nodes.size() > 1 ? " (on " + config_.host + ")" : "";
}

void NodeRuntime::OnFileNotice(const process::FileNotice& notice) {
  // One that is not rotated loses nothing.
  if (notice.kind != process::FileNotice::Kind::kNotRotated) files_lack_some_ = true;
  const std::string text = FileNoticeText(notice, config_.spec.logs()) + Here();
  Log(OutputTroubleEvent("files", base::ResourceExhaustedError(text)));
  Say(text);
}

void NodeRuntime::FlushOutput(base::Duration timeout,
                              std::function<void(const base::Status&)> done) {
  output_->Flush(timeout, [this, timeout, done = std::move(done)](const base::Status& flushed) {
    const uint64_t unwritten_bytes = output_->unwritten_bytes();
    if (!flushed.ok() || unwritten_bytes == 0) return done(flushed);
    const std::string text = UnwrittenText(unwritten_bytes, config_.spec.logs()) + Here();
    Log(OutputTroubleEvent("files", base::ResourceExhaustedError(text)));
    Say(text);
    output_->Flush(timeout, done);
  });
}

base::Status NodeRuntime::BeginRound(base::Round round, int restart_count) {
  facts_.round = round;
  facts_.restart_count = restart_count;
  watched_.clear();
  flight_files_.clear();
  output_service_.SetRound(round);
  deps_.record.SetRound(round);
  if (restart_count == 0) SayWhatIsNotWatched();
  if (restart_count > 0) deps_.record.SaveRunningSoon();
  base::Status made = deps_.record.MakeRoundFolder(round);
  folder_failed_ = !made.ok();
  // The first round's ranks are launched while the socket is new.
  if (made.ok() && restart_count > 0) {
    made = RestoreAttach();
    folder_failed_ = made.code() == base::Code::kPermissionDenied;
  }
  if (made.ok()) made = BeginMpiRound();
  return made.ok() ? BeginMeetings(round) : made;
}

RankFiles NodeRuntime::FilesOf(base::Rank rank) const {
  return RankFilesOf(deps_.record.RoundFolder(facts_.round), rank);
}

topology::Environment NodeRuntime::EnvironmentOf(const elastic::RankProcess& process,
                                                 const MpiSeat& seat) {
  const topology::RankPlace& place = PlaceOf(process.rank);
  AttachServer::RankWorld rank;
  rank.rank = process.rank;
  rank.local_rank = place.local_rank;
  rank.incarnation = process.incarnation;
  rank.round = facts_.round;
  rank.world_size = static_cast<int>(places_.size());
  rank.local_world_size = place.local_world_size;
  rank.node_index = self_;
  rank.node_count = static_cast<int>(world_.nodes.size());
  rank.restart_count = facts_.restart_count;
  topology::Environment environment =
      topology::MakeRankEnvironment(world_, facts_,
                                    {.place = place,
                                     .incarnation = process.incarnation,
                                     .socket_path = attach_->socket_path(),
                                     .cookie = attach_->AddRank(rank),
                                     .error_file = FilesOf(process.rank).error},
                                    config_.environment, VariablesOf(config_.spec.program()));
  if (mpi_ != nullptr) topology::SetMpiWorld(seat.variables, environment);
  // What can fail has been looked at.
  (void)PreloadShim(watch_.watch, watch_.folder, environment);
  return environment;
}

topology::FlightFiles NodeRuntime::FlightFilesOf(base::Rank rank) const {
  const auto files = flight_files_.find(rank);
  return files != flight_files_.end() ? files->second : topology::FlightFiles();
}

base::Result<PreparedSpawn> NodeRuntime::Prepare(const elastic::RankProcess& process) {
  const base::Rank rank = process.rank;
  PreparedSpawn prepared;
  process::SpawnSpec& spawn = prepared.spec;
  spawn.name = "rank-" + rank.ToString();
  spawn.arguments = config_.arguments;
  spawn.working_directory = config_.spec.program().working_directory();
  MpiSeat seat;
  if (mpi_ != nullptr) {
    ASSIGN_OR_RETURN(seat, mpi_->SeatOf(rank));
    mpi_ranks_[rank] = process;
  }
  const topology::Environment environment = EnvironmentOf(process, seat);
  flight_files_[rank] = topology::FlightFilesOf(environment, rank);
  spawn.environment = topology::ToBlock(environment);
  if (rank_files_.rlim_cur != rank_files_.rlim_max) {
    spawn.limits.push_back({RLIMIT_NOFILE, rank_files_});
  }
  const auto give = [&prepared](base::UniqueFd fd, int number) {
    prepared.spec.fds.push_back({fd.get(), number});
    prepared.fds.push_back(std::move(fd));
  };
  if (seat.fd.valid()) give(std::move(seat.fd), seat.rank_fd);
  const auto node = world_.nodes.size() > 1 ? std::optional(self_) : std::nullopt;
  ASSIGN_OR_RETURN(
      process::RankOutputFds output,
      output_->Open(OutputPlanOf(config_.spec.logs(), rank, PlaceOf(rank).local_rank, node,
                                 static_cast<int>(places_.size()), FilesOf(rank))));
  give(std::move(output.standard_output), STDOUT_FILENO);
  give(std::move(output.standard_error), STDERR_FILENO);
  if (stdin_ != nullptr && config_.spec.logs().stdin_reader().rank() == rank.value()) {
    ASSIGN_OR_RETURN(base::UniqueFd input, stdin_->Open());
    give(std::move(input), STDIN_FILENO);
  }
  return prepared;
}

std::vector<WatchedRank> NodeRuntime::RanksToWatch() const {
  std::vector<WatchedRank> ranks;
  for (const auto& [rank, watched] : watched_) {
    ranks.push_back(watched);
    ranks.back().ring_fd = RecorderFd(rank);
  }
  return ranks;
}

void NodeRuntime::OnRankSpawned(const elastic::RankProcess& process, pid_t pid) {
  watched_[process.rank] = {.rank = process.rank,
                            .incarnation = process.incarnation,
                            .pid = pid,
                            .is_recorded = are_ranks_recorded()};
  Log(RankSpawnedEvent(process, pid));
}

void NodeRuntime::OnRankSpawnFailed(const elastic::RankProcess& process,
                                    const base::Status& error) {
  Log(RankSpawnFailedEvent(process, error));
}

RankEnd NodeRuntime::OnRankExited(const elastic::RankProcess& process, pid_t pid,
                                  const process::Exit& exit) {
  Log(RankExitedEvent(process, pid, exit));
  if (const auto watched = watched_.find(process.rank);
      watched != watched_.end() && watched->second.incarnation == process.incarnation) {
    watched->second.ended = true;
    watched->second.exit_code = exit.code;
    watched->second.signal = exit.signal;
    watched->second.out_of_memory = exit.out_of_memory;
    watched->second.ended_at = deps_.loop.Now();
  }
  RankEnd end{.exit = ExitOf(process.rank, exit), .evidence = {}};
  if (end.exit.ok()) return end;
  output_->ReadNow(process.rank);
  end.evidence = EvidenceOf(process.rank);
  end.exit.fingerprint = Fingerprint(end.exit, end.evidence);
  return end;
}

void NodeRuntime::OnRanksSignalled(int signal, bool whole_tree,
                                   const std::vector<elastic::RankProcess>& processes) {
  Log(SignalSentEvent(signal, whole_tree, processes));
}

RankEvidence NodeRuntime::EvidenceOf(base::Rank rank) const {
  const RankFiles files = FilesOf(rank);
  RankEvidence evidence;
  evidence.stderr_lines = output_->LastStderrLines(rank, kStderrLines);
  if (base::Result<ErrorFile> error = ReadErrorFile(files.error); error.ok()) {
    evidence.error = *std::move(error);
  }
  evidence.stderr_path = files.standard_error;
  return evidence;
}

void NodeRuntime::OnSurvivorsGoOn(base::Round next, const std::vector<elastic::GoneRank>& gone) {
  for (const elastic::GoneRank& rank : gone) watched_.erase(rank.rank);
  // Ranks that cannot meet are told so when they try: the network of the round before is not
  // theirs.
  if (const base::Status begun = BeginMeetings(next); !begun.ok()) {
    LOG(ERROR) << "ranks of round " << next << " cannot meet others: " << begun;
  }
  if (attach_ != nullptr) attach_->GoOn(next, gone);
}

void NodeRuntime::OnRoundGone() {
  watched_.clear();
  for (const topology::RankPlace& place : places_) {
    if (place.node == self_) output_->ReadNow(place.rank);
  }
  if (cards_ != nullptr) cards_->EndRound();
  if (attach_ != nullptr) attach_->EndRound();
  if (mpi_ != nullptr) mpi_->EndRound();
  mpi_ranks_.clear();
  aborted_.clear();
}

}  // namespace lockstep::launcher
