// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/pmix_server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "runtime/base/errno_status.h"
#include "runtime/topology/cpu_count.h"

namespace lockstep::launcher {
namespace {

constexpr int kChildFd = 3;
constexpr off_t kLogTailBytes = 512;
constexpr char kTask[] = "serve PMIx to the ranks of an Open MPI program: ";
constexpr char kOrNone[] = ", or --mpi=none for ranks that are alone in their worlds";

/// What Open MPI 4 needs to know to take its world from PMIx: it would look for a daemon of
/// mpirun's, and finding none call itself alone. It binds no rank to a core: nor does lockstep run.
const topology::Environment& OpenMpiVariables() {
  static const topology::Environment kVariables = {{"OMPI_MCA_schizo", "^orte"},
                                                   {"OMPI_MCA_ess", "pmi"},
                                                   {"OMPI_MCA_orte_externally_bound", "1"},
                                                   {"OMPI_MCA_hwloc_base_binding_policy", "none"}};
  return kVariables;
}

/// What is of another launcher's world, or configures another server, is not the child's.
topology::Environment ChildsEnvironment(topology::Environment environment) {
  std::erase_if(environment, [](const auto& variable) {
    return variable.first.starts_with("PMIX_") && !variable.first.starts_with("PMIX_MCA_");
  });
  // Without its store in shared files: it has been seen to fail where they are removed.
  environment.try_emplace("PMIX_MCA_gds", "hash");
  return environment;
}

/// The last line of a log; "" when there is none.
std::string LastLineOf(const std::string& path) {
  const base::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status{};
  if (!fd.valid() || ::fstat(fd.get(), &status) != 0) return "";
  std::array<char, kLogTailBytes> bytes{};
  const off_t begin = std::max<off_t>(0, status.st_size - kLogTailBytes);
  const ssize_t size = ::pread(fd.get(), bytes.data(), bytes.size(), begin);
  std::string text(bytes.data(), static_cast<size_t>(std::max<ssize_t>(0, size)));
  while (text.ends_with('\n')) text.pop_back();
  return text.substr(text.rfind('\n') + 1);
}

}  // namespace

base::Result<std::unique_ptr<PmixServer>> PmixServer::Create(Config config, Deps deps) {
  std::unique_ptr<PmixServer> server(new PmixServer(std::move(config), deps));
  RETURN_IF_ERROR(server->Start());
  return server;
}

PmixServer::~PmixServer() {
  Stop();
  std::error_code gone;
  if (has_folder_) std::filesystem::remove_all(config_.folder, gone);
}

/// Also when libpmix has removed it.
base::Status PmixServer::MakeFolder() {
  const bool made = ::mkdir(config_.folder.c_str(), 0700) == 0;
  if (!made && errno != EEXIST) return base::ErrnoStatus(errno, "make folder " + config_.folder);
  struct stat status{};
  has_folder_ = made || (::lstat(config_.folder.c_str(), &status) == 0 && S_ISDIR(status.st_mode) &&
                         status.st_uid == ::getuid() && (status.st_mode & 077) == 0);
  if (has_folder_) return base::OkStatus();
  return base::AlreadyExistsError("make folder " + config_.folder +
                                  " for Open MPI's files: somebody else's is there; remove it");
}

base::Status PmixServer::Start() {
  RETURN_IF_ERROR(MakeFolder());
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
    return base::ErrnoStatus(errno, "make the sockets to " + config_.program);
  fd_.reset(fds[0]);
  const base::UniqueFd theirs(fds[1]);
  const base::UniqueFd log(
      ::open(config_.log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  process::SpawnSpec spec;
  spec.name = "pmix";
  spec.arguments = {config_.program, config_.folder};
  spec.environment = topology::ToBlock(ChildsEnvironment(config_.environment));
  spec.fds = {{theirs.get(), kChildFd}};
  if (log.valid()) spec.fds.push_back({log.get(), STDERR_FILENO});
  process::SpawnResult spawned = deps_.processes.Spawn(std::move(spec), [](const process::Exit&) {
    // The end of its socket tells, too, and comes before.
  });
  if (spawned.status().code() == base::Code::kNotFound) {
    return base::NotFoundError(kTask + config_.program +
                               " is not there: put it beside lockstep, with which it is built" +
                               kOrNone);
  }
  if (!spawned.ok()) return spawned.status().WithFrame("while starting " + config_.program);
  process_ = *std::move(spawned);
  decoder_.emplace();
  watch_ =
      deps_.loop.Watch(fd_.get(), {.readable = true}, [this](event::Readiness) { OnReadable(); });
  return base::OkStatus();
}

void PmixServer::Stop() {
  watch_.reset();
  fd_.reset();
  process_.reset();
}

base::Status PmixServer::BeginRound(base::Round round, int rank_count) {
  seq_.AssertHeld();
  if (process_ == nullptr) RETURN_IF_ERROR(Start());
  RETURN_IF_ERROR(MakeFolder());
  proto::PmixRequest request;
  request.mutable_begin()->set_namespace_(config_.job_id + "-" + round.ToString());
  request.mutable_begin()->set_rank_count(rank_count);
  request.mutable_begin()->set_host(config_.host);
  request.mutable_begin()->set_folder(config_.folder);
  answer_.reset();
  Send(request);  // if not, the answer says why
  base::Result<proto::PmixReply> answer = AwaitAnswer();
  if (!answer.ok()) {
    Stop();
    return answer.status();
  }
  if (answer->has_failed()) {
    return base::UnavailableError(kTask + answer->failed().why());
  }
  const auto& block = answer->ready().variables();
  variables_ = topology::ParseEnvironment({block.begin(), block.end()});
  rank_count_ = rank_count;
  return base::OkStatus();
}

base::Result<MpiSeat> PmixServer::SeatOf(base::Rank rank) {
  seq_.AssertHeld();
  MpiSeat seat{.variables = variables_, .fd = {}};
  seat.variables.insert(OpenMpiVariables().begin(), OpenMpiVariables().end());
  // What its ranks share lies where it is found when they have been killed.
  seat.variables["OMPI_MCA_btl_vader_backing_directory"] = config_.folder;
  // As mpirun has it: ranks that outnumber the cores yield them while they wait.
  if (rank_count_ > topology::CpuCount()) seat.variables["OMPI_MCA_mpi_yield_when_idle"] = "1";
  const std::string number = rank.ToString();
  const std::string count = std::to_string(rank_count_);
  seat.variables["PMIX_RANK"] = number;
  seat.variables["OMPI_COMM_WORLD_RANK"] = number;
  seat.variables["OMPI_COMM_WORLD_LOCAL_RANK"] = number;
  seat.variables["OMPI_COMM_WORLD_NODE_RANK"] = number;
  seat.variables["OMPI_COMM_WORLD_SIZE"] = count;
  seat.variables["OMPI_COMM_WORLD_LOCAL_SIZE"] = count;
  seat.variables["OMPI_UNIVERSE_SIZE"] = count;
  return seat;
}

void PmixServer::EndRound() {
  seq_.AssertHeld();
  variables_.clear();
  proto::PmixRequest request;
  request.mutable_over();
  if (process_ != nullptr) Send(request);
}

/// Requests are short and few: a socket that is full is that of a child which does not read.
bool PmixServer::Send(const proto::PmixRequest& request) {
  const std::string payload = request.SerializeAsString();
  std::string frame;
  net::AppendFrameHeader(payload.size(), &frame);
  frame += payload;
  return ::send(fd_.get(), frame.data(), frame.size(), MSG_DONTWAIT | MSG_NOSIGNAL) ==
         static_cast<ssize_t>(frame.size());
}

base::Result<proto::PmixReply> PmixServer::AwaitAnswer() {
  const base::SteadyTime deadline = deps_.loop.Now() + config_.answer_limit;
  while (true) {
    const bool open = ReadSome();
    if (answer_ != nullptr) return *std::exchange(answer_, nullptr);
    if (!open) return WhyItEnded();
    const base::Duration left = deadline - deps_.loop.Now();
    if (left <= base::Duration(0)) break;
    pollfd input{fd_.get(), POLLIN, 0};
    (void)::poll(&input, 1,
                 static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count()));
  }
  return base::DeadlineExceededError(kTask + config_.program + " has not answered within " +
                                     base::FormatDuration(config_.answer_limit) + "; see " +
                                     config_.log_path + kOrNone);
}

/// Between rounds' begins: a rank's abort, or the child's end.
void PmixServer::OnReadable() {
  if (ReadSome()) return;
  const std::string last = LastLineOf(config_.log_path);
  config_.on_ended("what serves PMIx to the ranks has ended" + (last.empty() ? "" : ": " + last) +
                   "; ranks that need it again fail");
  Stop();
}

/// False at the end of what comes, and when it is none of this protocol.
bool PmixServer::ReadSome() {
  char bytes[4096];
  while (true) {
    const ssize_t size = ::recv(fd_.get(), bytes, sizeof bytes, MSG_DONTWAIT);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return errno == EAGAIN;
    if (size == 0) return false;
    bool ours = true;
    const base::Status fed =
        decoder_->Feed({bytes, static_cast<size_t>(size)}, [this, &ours](std::string_view payload) {
          proto::PmixReply reply;
          ours = ours && reply.ParseFromArray(payload.data(), static_cast<int>(payload.size()));
          if (ours) OnReply(std::move(reply));
          return ours;
        });
    if (!ours || !fed.ok()) return false;
  }
}

void PmixServer::OnReply(proto::PmixReply reply) {
  if (!reply.has_aborted()) {
    answer_ = std::make_unique<proto::PmixReply>(std::move(reply));
    return;
  }
  const int rank = reply.aborted().rank();
  if (rank >= 0 && rank < rank_count_) config_.on_abort(base::Rank(rank), reply.aborted().code());
}

base::Status PmixServer::WhyItEnded() const {
  const std::string last = LastLineOf(config_.log_path);
  // What the system's loader says of a library that is not there.
  if (last.find("libpmix.so") != last.npos) {
    return base::UnavailableError(kTask +
                                  std::string("libpmix is missing: `apt-get install "
                                              "libpmix2`") +
                                  kOrNone + " (" + last + ")");
  }
  return base::UnavailableError(kTask + config_.program + " ended at once" +
                                (last.empty() ? "" : ": " + last) + kOrNone);
}

}  // namespace lockstep::launcher
