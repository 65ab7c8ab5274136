// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/bench/gang_stage.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "launcher/bench/gang.h"
#include "runtime/base/errno_status.h"
#include "runtime/event/epoll_loop.h"
#include "runtime/net/unix_socket.h"
#include "runtime/process/real_processes.h"

namespace lockstep::launcher {
namespace {

// To part in an orderly way: MPI_Finalize, and the end of a job.
constexpr base::Duration kPartingLimit = std::chrono::seconds(10);
// After SIGTERM, in which mpirun ends its ranks and removes its files.
constexpr base::Duration kTermLimit = std::chrono::seconds(3);
constexpr base::Duration kKillLimit = std::chrono::seconds(5);

std::string SocketPath(const std::string& folder) { return folder + "/s"; }

}  // namespace

GangStage::GangStage(Config config, std::unique_ptr<event::Loop> loop)
    : config_(std::move(config)), loop_(std::move(loop)) {}

GangStage::~GangStage() { End(); }

base::Result<std::unique_ptr<GangStage>> GangStage::Create(Config config,
                                                           const base::Clock& clock) {
  ASSIGN_OR_RETURN(std::unique_ptr<event::Loop> loop, event::EpollLoop::Create(clock));
  std::unique_ptr<GangStage> stage(new GangStage(std::move(config), std::move(loop)));
  RETURN_IF_ERROR(stage->Open());
  return stage;
}

base::Status GangStage::Open() {
  ASSIGN_OR_RETURN(signals_, event::SignalSource::Create(*loop_, {SIGINT, SIGTERM, SIGHUP},
                                                         [this](const event::Signal& signal) {
                                                           signal_ = signal.number;
                                                           loop_->Quit();
                                                         }));
  const std::string mark = "bench-" + std::to_string(::getpid());
  ASSIGN_OR_RETURN(processes_, process::RealProcesses::Create({.mark = mark}, *loop_));
  ASSIGN_OR_RETURN(listener_, net::ListenUnix(SocketPath(config_.folder)));
  listening_ =
      loop_->Watch(listener_.get(), {.readable = true}, [this](event::Readiness) { Accept(); });
  return base::OkStatus();
}

// ------------------------------------------------------------------------------------- starting

base::Result<Contestant*> GangStage::Start(const Contender& contender) {
  const std::string program = config_.program_folder + "/" + contender.program;
  if (::access(program.c_str(), X_OK) != 0) {
    return base::NotFoundError("the rank program of " + contender.name +
                               " is not beside lockstep: " + program + ": " + std::strerror(errno) +
                               "; install it there, or leave " + contender.name + " out");
  }
  gangs_.push_back(std::make_unique<Gang>(*this, contender, static_cast<int>(gangs_.size())));
  RETURN_IF_ERROR(gangs_.back()->Start());
  return gangs_.back().get();
}

base::Result<std::unique_ptr<process::Process>> GangStage::Spawn(Gang& gang) {
  const Contender& contender = gang.contender();
  const base::UniqueFd log(
      ::open(gang.log_path().c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600));
  if (!log.valid()) return base::ErrnoStatus(errno, "open " + gang.log_path());
  topology::Environment environment = config_.environment;
  for (const auto& [name, value] : contender.environment) environment[name] = value;
  process::SpawnSpec spec{.name = "gang-" + std::to_string(gang.number()),
                          .arguments = {},
                          .environment = topology::ToBlock(environment),
                          .working_directory = config_.folder,
                          .fds = {{log.get(), STDOUT_FILENO}, {log.get(), STDERR_FILENO}}};
  auto& words = spec.arguments;
  const bool is_ours = contender.launcher.empty();
  const std::string namer = config_.program_folder + "/lockstep-bench-netns";
  std::string namespaces;
  for (const std::string& name : contender.namespaces)
    namespaces += (namespaces.empty() ? "" : ",") + name;
  // Of another launcher the first node is where it is, and it calls the namer for the others.
  if (!is_ours && !namespaces.empty()) words = {namer, "--first", namespaces};
  words.push_back(is_ours ? config_.lockstep : contender.launcher);
  words.insert(words.end(), contender.words.begin(), contender.words.end());
  if (!is_ours && !namespaces.empty()) words.insert(words.end(), {"--mca", "plm_rsh_agent", namer});
  if (is_ours && !namespaces.empty()) words.insert(words.end(), {namer, "--rank", namespaces});
  words.insert(words.end(), {config_.program_folder + "/" + contender.program,
                             SocketPath(config_.folder), std::to_string(gang.number())});
  words.insert(words.end(), contender.arguments.begin(), contender.arguments.end());
  if (contender.meets_in_folder) {
    words.push_back(gang.log_path() + ".store");
    if (::mkdir(words.back().c_str(), 0700) != 0)
      return base::ErrnoStatus(errno, "mkdir " + words.back());
  }
  return processes_->Spawn(std::move(spec), [this](const process::Exit&) { loop_->Quit(); });
}

void GangStage::Accept() {
  while (true) {
    base::Result<base::UniqueFd> fd = net::AcceptUnix(listener_.get());
    // Out of descriptors: the rank stays in the backlog until the start's deadline.
    if (!fd.ok() || !fd->valid()) return;
    const auto peer = net::PeerOf(fd->get());
    if (!peer.ok() || !net::CheckPeerIsOurs(*peer, ::getuid()).ok()) continue;
    auto link = std::make_unique<RankLink>();
    link->fd = *std::move(fd);
    RankLink& stranger = *link;
    strangers_.push_back(std::move(link));
    stranger.watch = loop_->Watch(stranger.fd.get(), {.readable = true},
                                  [this, &stranger](event::Readiness) { OnReadable(stranger); });
  }
}

void GangStage::OnReadable(RankLink& link) {
  const bool within_bounds = link.Read();
  if (within_bounds && !link.ended && link.inbox.size() < sizeof(lockstep_bench_hello)) return;
  TakeHello(link);
  loop_->Quit();
}

void GangStage::TakeHello(RankLink& link) {
  const auto found = std::find_if(strangers_.begin(), strangers_.end(),
                                  [&](const auto& one) { return one.get() == &link; });
  std::unique_ptr<RankLink> taken = std::move(*found);
  strangers_.erase(found);
  taken->watch.reset();
  lockstep_bench_hello hello;
  if (taken->inbox.size() != sizeof hello) return;
  std::memcpy(&hello, taken->inbox.data(), sizeof hello);
  taken->inbox.clear();
  const bool known = hello.magic == LOCKSTEP_BENCH_MAGIC && hello.gang >= 0 &&
                     hello.gang < static_cast<int>(gangs_.size());
  if (known) gangs_[static_cast<size_t>(hello.gang)]->Adopt(taken, hello);
}

// -------------------------------------------------------------------------------------- waiting

bool GangStage::RunUntil(const std::function<bool()>& holds, base::SteadyTime deadline,
                         bool heeds_signals) {
  while (!holds()) {
    if (loop_->Now() >= deadline || (heeds_signals && signal_ != 0)) return false;
    const event::Registration timer = loop_->At(deadline, [this] { loop_->Quit(); });
    loop_->Run();
  }
  return true;
}

base::Status GangStage::Interrupted() const {
  if (signal_ == 0) return base::OkStatus();
  return base::AbortedError(std::string("interrupted by SIG") + ::sigabbrev_np(signal_));
}

std::vector<pid_t> GangStage::Pids() const {
  std::vector<pid_t> pids = {::getpid()};
  for (const auto& gang : gangs_) gang->AppendPids(pids);
  return pids;
}

// --------------------------------------------------------------------------------------- ending

void GangStage::End() {
  const auto all_left = [this] {
    return std::all_of(gangs_.begin(), gangs_.end(),
                       [](const auto& gang) { return gang->has_left(); });
  };
  if (signal_ == 0) {
    for (const auto& gang : gangs_) gang->AskToLeave();
    RunUntil(all_left, loop_->Now() + kPartingLimit);
  }
  for (const auto& gang : gangs_) {
    if (!gang->has_left()) (void)gang->process()->SignalLeader(SIGTERM);
  }
  RunUntil(all_left, loop_->Now() + kTermLimit, /*heeds_signals=*/false);
  size_t killed = 0;
  size_t wanted = 0;
  for (const auto& gang : gangs_) {
    if (gang->process() == nullptr) continue;
    ++wanted;
    gang->process()->KillAll(kKillLimit, [this, &killed](const base::Status&) {
      ++killed;
      loop_->Quit();
    });
  }
  // Each KillAll has a limit of its own and calls back by then.
  RunUntil([&] { return killed == wanted; }, loop_->Now() + 2 * kKillLimit,
           /*heeds_signals=*/false);
  gangs_.clear();
}

}  // namespace lockstep::launcher
