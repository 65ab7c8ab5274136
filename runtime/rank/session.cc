// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/rank/session.h"

#include <limits.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <mutex>
#include <utility>
#include <vector>

#include "collectives/engine/attach_connection.h"
#include "collectives/engine/attach_status.h"
#include "collectives/engine/queued_group.h"
#include "collectives/engine/rounds.h"
#include "collectives/host/shm/local_segments.h"
#include "collectives/host/shm/shm_backend_maker.h"
#include "collectives/host/tcp/attach_exchange.h"
#include "collectives/host/tcp/tcp_backend_maker.h"
#include "collectives/host/wide/wide_backend_maker.h"
#include "collectives/nccl/nccl_runtime.h"
#include "collectives/nccl/segment_boards.h"
#include "collectives/nccl/tcp_boards.h"
#include "collectives/recorder/recorder.h"
#include "runtime/attach/attach_client.h"
#include "runtime/attach/fork_guard.h"
#include "runtime/rank/round_watch.h"
#include "runtime/rank/sample_window.h"
#include "runtime/rank/session_backend.h"
#include "runtime/rank/session_factory.h"
#include "runtime/rank/session_tie.h"
#include "runtime/rank/tcp_of_round.h"
#include "runtime/topology/environment.h"

namespace lockstep::rank {
namespace {

constexpr base::Duration kAttachTimeout = std::chrono::seconds(10);
constexpr base::Duration kProgressInterval = std::chrono::milliseconds(100);

/// For a question to the agent: no longer than it should ever take.
uint32_t Milliseconds(base::Duration at_most) {
  return static_cast<uint32_t>(std::chrono::ceil<std::chrono::milliseconds>(
                                   std::clamp(at_most, base::Duration(0), kAttachTimeout))
                                   .count());
}

/// Raises `atomic` to `value` and returns what it was. (A member of std::atomic from C++26.)
uint64_t FetchMax(std::atomic<uint64_t>& atomic, uint64_t value) {
  uint64_t old = atomic.load(std::memory_order_relaxed);
  while (old < value && !atomic.compare_exchange_weak(old, value, std::memory_order_relaxed)) {
  }
  return old;
}

/// Notices are read when somebody asks (a non-blocking receive of about 300 ns), not by a thread:
/// nothing has to happen between the calls, and a program without a thread of ours forks, profiles
/// and signals as its author expects. (But for RoundWatch.)
class RankSession final : public Session {
 public:
  /// What a session is made of. `mpi_library` is of kMpi alone.
  struct Parts {
    World world;
    std::string host;
    std::shared_ptr<Tie> tie;  // null without an agent
    Backend backend = Backend::kHost;
    bool check_calls = false;  // of kMpi and kNccl
    DataPath data_path;        // of kHost, and of what kNccl's members say to each other
    std::string mpi_library;
  };

  explicit RankSession(Parts parts)
      : world_(std::move(parts.world)),
        host_(std::move(parts.host)),
        tie_(std::move(parts.tie)),
        backend_(parts.backend),
        check_calls_(parts.check_calls),
        data_path_(parts.data_path),
        mpi_library_(std::move(parts.mpi_library)) {
    lockstep_fork_guard_init(&guard_);
  }
  /// Where the job keeps its survivors.
  base::Status WatchRounds();
  ~RankSession() override;

  const World& world() const override { return world_; }
  bool has_agent() const override { return tie_ != nullptr; }
  base::Result<std::shared_ptr<collectives::Group>> WorldGroup(base::Duration timeout) override;
  std::vector<LostRank> lost_ranks() const override;
  void ReportProgress(int64_t step) override;
  void ReportSamples(uint64_t samples) override;
  PhaseMark SetPhase(const PhaseMark& mark) override;
  bool stop_requested() const override { return Poll().stop; }
  bool TakeCheckpointRequest() override;

 private:
  base::Result<std::shared_ptr<collectives::BackendMaker>> Maker(base::Duration timeout);
  base::Result<std::shared_ptr<collectives::BoardSource>> Boards(base::Duration timeout) const;
  base::Result<std::shared_ptr<collectives::Group>> MakeWorld(
      collectives::QueuedGroup::Config config);
  collectives::QueuedGroup::Config WorldConfig() const;
  lockstep_attach_notices Poll() const;
  void SendProgress();

  bool owner() const { return lockstep_fork_guard_is_owner(&guard_); }

  lockstep_fork_guard guard_;
  const World world_;
  const std::string host_;
  const std::shared_ptr<Tie> tie_;  // null without an agent
  const Backend backend_;
  const bool check_calls_;
  const DataPath data_path_;
  const std::string mpi_library_;
  std::shared_ptr<collectives::Rounds> rounds_;  // this and the next: null but for survivors
  std::unique_ptr<RoundWatch> round_watch_;
  std::shared_ptr<collectives::Group>
      world_group_;  // this and the next three: confined to WorldGroup's thread
  std::shared_ptr<collectives::BackendMaker> maker_;  // null before the first group
  std::shared_ptr<collectives::NcclRuntime> nccl_;    // the same, of kNccl
  uint32_t world_group_attempts_ = 0;  // every rank counts its own, so that the n-th tries meet

  base::RealClock clock_;
  std::atomic<int64_t> step_{-1};        // last reported
  std::atomic<int64_t> sent_step_{-1};   // last told to the agent
  std::atomic<int64_t> next_report_{0};  // steady nanoseconds before which none is sent
  std::atomic<uint64_t> unsent_samples_{0};
  std::mutex samples_mutex_;
  SampleWindow samples_;  // guarded by samples_mutex_
  mutable std::atomic<bool> stop_{
      false};  // survives a poll that had to give way to another thread's
  mutable std::atomic<uint64_t> checkpoint_number_{0};
  std::atomic<uint64_t> checkpoint_taken_{0};
};

RankSession::~RankSession() {
  SendProgress();
  world_group_.reset();
  if (nccl_ != nullptr && owner()) {
    // Groups leave NCCL on threads of their own; main() may be about to return under them. One that
    // is not let go within the limit is aborted, which takes a moment, too.
    (void)nccl_->AwaitIdle(nccl_->abort_limit() + std::chrono::seconds(2));
  } else if (nccl_ != nullptr) {
    // A forked child has not the threads that its end would join.
    (void)new std::shared_ptr<collectives::NcclRuntime>(std::move(nccl_));
  }
  lockstep_fork_guard_free(&guard_);
}

/// Of kHost by where the ranks are; null where a world of one needs none, and of kNccl.
base::Result<std::shared_ptr<collectives::BackendMaker>> RankSession::Maker(
    base::Duration timeout) {
  if (backend_ == Backend::kMpi && !mpi_library_.empty())
    return StartMpi(mpi_library_, check_calls_, timeout);
  if (backend_ != Backend::kHost || tie_ == nullptr)
    return std::shared_ptr<collectives::BackendMaker>();
  const std::shared_ptr<collectives::BackendMaker> memory =
      std::make_shared<collectives::ShmBackendMaker>(std::make_shared<TiedSegments>(tie_));
  if (world_.world_size == world_.local_world_size) return memory;
  const auto open =
      [tie = tie_, memory, world = world_, host = host_, data_path = data_path_](
          base::Duration at_most) -> base::Result<std::shared_ptr<collectives::BackendMaker>> {
    ASSIGN_OR_RETURN(collectives::TcpService::Config config,
                     NetworkOf(*tie, world, host, data_path, at_most));
    ASSIGN_OR_RETURN(auto tcp,
                     collectives::TcpBackendMaker::Create(std::move(config), ExchangeOf(*tie)));
    return std::shared_ptr<collectives::BackendMaker>(
        std::make_shared<collectives::WideBackendMaker>(std::move(tcp), memory));
  };
  if (rounds_ == nullptr) return open(timeout);
  return std::shared_ptr<collectives::BackendMaker>(std::make_shared<TcpOfRound>(open));
}

base::Status RankSession::WatchRounds() {
  const auto give_up = [tie = tie_](base::Rank rank, const std::string& why,
                                    base::Duration at_most) -> base::Status {
    lockstep_attach_error error{};
    const int result = lockstep_attach_give_up_rank(tie->client.get(), rank.value(), why.c_str(),
                                                    Milliseconds(at_most), &error);
    if (result == LOCKSTEP_ATTACH_OK) return base::OkStatus();
    return collectives::AttachStatus(result, error, "asking the agent to go on without a rank")
        .WithFrame("giving up rank " + rank.ToString());
  };
  rounds_ = std::make_shared<collectives::Rounds>(world_.round, give_up);
  ASSIGN_OR_RETURN(round_watch_, RoundWatch::Start(tie_->socket_path, tie_->cookie,
                                                   Milliseconds(kAttachTimeout), rounds_));
  return base::OkStatus();
}

base::Result<std::shared_ptr<collectives::Group>> RankSession::MakeWorld(
    collectives::QueuedGroup::Config config) {
  if (backend_ != Backend::kNccl) {
    ASSIGN_OR_RETURN(auto group, collectives::QueuedGroup::Create(std::move(config), maker_));
    return std::shared_ptr<collectives::Group>(std::move(group));
  }
  return MakeNcclWorld(std::move(config), world_.local_rank, check_calls_, nccl_);
}

base::Result<std::shared_ptr<collectives::BoardSource>> RankSession::Boards(
    base::Duration timeout) const {
  using collectives::SegmentBoards;
  std::shared_ptr<collectives::BoardSource> memory;
  if (tie_ == nullptr) {
    memory = std::make_shared<SegmentBoards>(std::make_shared<collectives::LocalSegments>());
  } else {
    memory = std::make_shared<SegmentBoards>(std::make_shared<TiedSegments>(tie_));
  }
  if (world_.world_size == world_.local_world_size) return memory;
  ASSIGN_OR_RETURN(collectives::TcpService::Config config,
                   NetworkOf(*tie_, world_, host_, data_path_, timeout));
  ASSIGN_OR_RETURN(auto service, collectives::TcpService::Start(std::move(config)));
  return std::shared_ptr<collectives::BoardSource>(std::make_shared<collectives::TcpBoards>(
      std::move(service), ExchangeOf(*tie_), std::move(memory)));
}

base::Result<std::shared_ptr<collectives::Group>> RankSession::WorldGroup(base::Duration timeout) {
  if (!owner()) {
    return base::FailedPreconditionError(
        "making the group of all ranks in a forked child of rank " + world_.rank.ToString() +
        "; only the rank itself may make groups");
  }
  if (world_group_ != nullptr) return world_group_;
  const base::SteadyTime since = clock_.Now();
  if (maker_ == nullptr) {
    ASSIGN_OR_RETURN(maker_, Maker(timeout));
  }
  if (backend_ == Backend::kNccl && nccl_ == nullptr) {
    ASSIGN_OR_RETURN(auto boards, Boards(timeout));
    ASSIGN_OR_RETURN(nccl_, StartNccl(std::move(boards)));
  }
  ++world_group_attempts_;
  for (;;) {
    collectives::QueuedGroup::Config config = WorldConfig();
    // Only what the agent took counts, not the microseconds of a try that did not ask it.
    config.join_timeout =
        timeout - std::min(timeout, base::Duration(std::chrono::floor<std::chrono::milliseconds>(
                                        clock_.Now() - since)));
    const std::vector<base::Rank> ranks = config.spec.world_ranks;
    auto made = MakeWorld(std::move(config));
    if (made.ok()) {
      world_group_ = *std::move(made);
      return world_group_;
    }
    // One has gone meanwhile: again, without it, unless that is this one.
    if (rounds_ == nullptr || rounds_->GoneOf(ranks).empty() || rounds_->WhyGone(world_.rank) ||
        clock_.Now() - since >= timeout) {
      return made.status();
    }
  }
}

/// Of all ranks that are left, in the order of the world.
collectives::QueuedGroup::Config RankSession::WorldConfig() const {
  collectives::QueuedGroup::Config config;
  config.spec.instance = world_group_attempts_;
  config.spec.job = world_.job;
  config.spec.host = host_;
  config.spec.epoch = world_.round;
  config.spec.incarnation = world_.incarnation;
  config.rounds = rounds_;
  for (int rank = 0; rank < world_.world_size; ++rank) {
    if (rank == world_.rank.value())
      config.spec.rank = base::GroupRank(static_cast<int>(config.spec.world_ranks.size()));
    if (rank == world_.rank.value() || rounds_ == nullptr || !rounds_->WhyGone(base::Rank(rank)))
      config.spec.world_ranks.emplace_back(rank);
  }
  if (tie_ != nullptr)
    config.recorder = std::shared_ptr<collectives::Recorder>(tie_, tie_->recorder.get());
  return config;
}

std::vector<LostRank> RankSession::lost_ranks() const {
  std::vector<LostRank> lost;
  // A forked child's copy of the lock may be held for ever.
  if (rounds_ == nullptr || !owner()) return lost;
  for (const collectives::Rounds::Gone& gone : rounds_->gone())
    lost.push_back({gone.rank, gone.why});
  return lost;
}

void RankSession::ReportProgress(int64_t step) {
  if (tie_ == nullptr) return;
  tie_->recorder->SetStep(step);  // every step: the agent may read it there
  step_.store(step, std::memory_order_relaxed);
  const int64_t now = clock_.Now().time_since_epoch().count();
  int64_t due = next_report_.load(std::memory_order_relaxed);
  if (now < due || !next_report_.compare_exchange_strong(due, now + kProgressInterval.count()))
    return;
  SendProgress();
}

void RankSession::ReportSamples(uint64_t samples) {
  if (tie_ == nullptr || !owner()) return;
  // Of two threads at once the later one counts for both, the next time.
  unsent_samples_.fetch_add(samples, std::memory_order_relaxed);
  const std::unique_lock lock(samples_mutex_, std::try_to_lock);
  if (!lock.owns_lock()) return;
  const auto window = samples_.Add(unsent_samples_.exchange(0), clock_.Now());
  if (window.has_value()) tie_->recorder->SetSamples(window->samples, window->since);
}

PhaseMark RankSession::SetPhase(const PhaseMark& mark) {
  if (tie_ == nullptr) return {};
  const auto before = tie_->recorder->MarkPhase({mark.name, mark.until});
  return {before.name, before.until};
}

void RankSession::SendProgress() {
  const int64_t step = step_.load(std::memory_order_relaxed);
  if (tie_ == nullptr || step == sent_step_.load(std::memory_order_relaxed)) return;
  // An agent that does not keep up hears of a later step.
  if (lockstep_attach_send_progress(tie_->client.get(), step) == LOCKSTEP_ATTACH_OK) {
    sent_step_.store(step, std::memory_order_relaxed);
  }
}

lockstep_attach_notices RankSession::Poll() const {
  lockstep_attach_notices notices{};
  if (tie_ != nullptr && lockstep_attach_poll(tie_->client.get(), &notices) == LOCKSTEP_ATTACH_OK) {
    if (notices.stop) stop_.store(true, std::memory_order_relaxed);
    FetchMax(checkpoint_number_,
             notices.checkpoint_number);  // another thread may have read a newer one
  }
  notices.stop = stop_.load(std::memory_order_relaxed);
  notices.checkpoint_number = checkpoint_number_.load(std::memory_order_relaxed);
  return notices;
}

bool RankSession::TakeCheckpointRequest() {
  const uint64_t number = Poll().checkpoint_number;
  return FetchMax(checkpoint_taken_, number) < number;
}

// -------------------------------------------------------------------------------------------------
// creation

base::Result<int> NumberIn(const RankEnvironment& environment, const std::string& name,
                           int otherwise) {
  const auto it = environment.find(name);
  if (it == environment.end()) return otherwise;
  int value = 0;
  const char* const end = it->second.data() + it->second.size();
  const auto [stopped, error] = std::from_chars(it->second.data(), end, value);
  if (error != std::errc() || stopped != end || value < 0) {
    return base::FailedPreconditionError(
        "reading this rank's place: " + name + "=" + it->second +
        " is no number; unset it, or start the program with `lockstep run`");
  }
  return value;
}

/// What another launcher says to each process it starts of how many there are, the nearest launcher
/// first: mpirun of Open MPI; that of MPICH and Intel MPI; srun. Not SLURM_NTASKS, which a batch
/// script and an interactive shell have too.
constexpr const char* kCountsOfOthers[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE",
                                           "SLURM_STEP_NUM_TASKS"};

/// Each of several would be a world of one, and write the checkpoints of the others.
base::Status CheckAlone(const RankEnvironment& environment) {
  for (const char* const name : kCountsOfOthers) {
    if (!environment.contains(name)) continue;
    ASSIGN_OR_RETURN(const int count, NumberIn(environment, name, 1));
    if (count <= 1) return base::OkStatus();
    return base::FailedPreconditionError(
        "this process is one of " + std::to_string(count) + " that mpirun or srun started (" +
        name + "=" + std::to_string(count) +
        "), but no Lockstep agent makes them ranks of one job; let that start `lockstep exec -- "
        "PROGRAM`, or start the program with `lockstep run -np " +
        std::to_string(count) +
        "` instead, or let its groups go over this MPI (LOCKSTEP_JOB_BACKEND=mpi), or set RANK=0 "
        "and WORLD_SIZE=1 to run each of them alone, with a checkpoint "
        "directory of its own");
  }
  return base::OkStatus();
}

std::string HostName() {
  char name[HOST_NAME_MAX + 1] = "";
  (void)::gethostname(name, sizeof name - 1);
  return name;
}

/// A rank of mpirun that no agent knows.
base::Result<std::unique_ptr<Session>> CreateUnderMpi(const RankEnvironment& environment,
                                                      bool check_calls) {
  RankSession::Parts parts{
      .host = HostName(), .backend = Backend::kMpi, .check_calls = check_calls};
  ASSIGN_OR_RETURN(parts.world, WorldOfLauncher(environment));
  ASSIGN_OR_RETURN(parts.mpi_library, MpiLibraryOf(environment));
  return std::unique_ptr<Session>(new RankSession(std::move(parts)));
}

base::Result<std::unique_ptr<Session>> CreateAlone(const RankEnvironment& environment,
                                                   Backend backend, bool check_calls) {
  if (!environment.contains("RANK") || !environment.contains("WORLD_SIZE")) {
    if (backend == Backend::kMpi) return CreateUnderMpi(environment, check_calls);
    RETURN_IF_ERROR(CheckAlone(environment));
  }
  ASSIGN_OR_RETURN(const int world_size, NumberIn(environment, "WORLD_SIZE", 1));
  ASSIGN_OR_RETURN(const int rank, NumberIn(environment, "RANK", 0));
  if (world_size != 1 || rank != 0) {
    return base::FailedPreconditionError(
        "this process is rank " + std::to_string(rank) + " of " + std::to_string(world_size) +
        ", but no Lockstep agent started it (LOCKSTEP_SOCKET is unset), so it cannot meet the "
        "others; start the "
        "program with `lockstep run`, or unset RANK and WORLD_SIZE to run it alone");
  }
  return std::unique_ptr<Session>(
      new RankSession({.backend = backend, .check_calls = check_calls}));
}

base::Result<std::unique_ptr<Session>> CreateAttached(const std::string& socket_path,
                                                      const std::string& cookie,
                                                      RankSession::Parts parts) {
  ASSIGN_OR_RETURN(collectives::AttachConnection agent,
                   collectives::AttachToAgent(socket_path, cookie, Milliseconds(kAttachTimeout),
                                              "attaching to the agent that LOCKSTEP_SOCKET names"));
  const std::unique_ptr<lockstep_attach_world> message = std::move(agent.world);
  auto tie = std::make_shared<Tie>();
  tie->socket_path = socket_path;
  tie->cookie = cookie;
  tie->client = std::move(agent.client);
  ASSIGN_OR_RETURN(tie->recorder, collectives::Recorder::Create(agent.ring));
  tie->node_index = message->node_index;
  World world;
  world.job = message->job;
  world.rank = base::Rank(message->rank);
  world.local_rank = base::LocalRank(message->local_rank);
  world.world_size = message->world_size;
  world.local_world_size = message->local_world_size;
  world.round = base::Round(message->round);
  world.incarnation = base::Incarnation(message->incarnation);
  world.restart_count = static_cast<int>(message->restart_count);
  world.checkpoint_directory = message->checkpoint_directory;
  world.keeps_survivors = (message->flags & LOCKSTEP_ATTACH_KEEPS_SURVIVORS) != 0;
  const bool watches =
      world.keeps_survivors && world.world_size > 1 && parts.backend == Backend::kHost;
  parts.world = std::move(world);
  parts.host = message->host;
  parts.tie = std::move(tie);
  auto session = std::make_unique<RankSession>(std::move(parts));
  if (watches) RETURN_IF_ERROR(session->WatchRounds());
  return std::unique_ptr<Session>(std::move(session));
}

}  // namespace

PhaseMark PhaseMark::For(const std::string& name, base::Duration at_most) {
  // Nobody waits for longer, and the sum is a time.
  constexpr base::Duration kAtMost = std::chrono::hours(24 * 365);
  if (at_most <= base::Duration(0)) return {.name = name};
  return {.name = name, .until = base::RealClock().Now() + std::min(at_most, kAtMost)};
}

std::string_view BackendName(Backend backend) {
  switch (backend) {
    case Backend::kHost: return "host";
    case Backend::kMpi: return "mpi";
    case Backend::kNccl: return "nccl";
  }
  return "";
}

base::Result<std::unique_ptr<Session>> CreateSessionFrom(const RankEnvironment& environment,
                                                         const SessionOptions& options) {
  const auto socket_path = environment.find("LOCKSTEP_SOCKET");
  const auto cookie = environment.find("LOCKSTEP_COOKIE");
  if ((socket_path == environment.end()) != (cookie == environment.end())) {
    return base::FailedPreconditionError(
        "LOCKSTEP_SOCKET and LOCKSTEP_COOKIE come together, and one of them is missing; a wrapper "
        "that clears the "
        "environment must keep all LOCKSTEP_* variables");
  }
  RankSession::Parts parts;
  ASSIGN_OR_RETURN(parts.backend, BackendOf(options, environment));
  ASSIGN_OR_RETURN(parts.check_calls, ChecksCalls(options, environment));
  ASSIGN_OR_RETURN(parts.data_path, DataPathOf(environment));
  if (socket_path == environment.end())
    return CreateAlone(environment, parts.backend, parts.check_calls);
  if (parts.backend == Backend::kMpi) {
    ASSIGN_OR_RETURN(parts.mpi_library, MpiLibraryOf(environment));
  }
  return CreateAttached(socket_path->second, cookie->second, std::move(parts));
}

base::Result<std::unique_ptr<Session>> Session::Create(const SessionOptions& options) {
  std::vector<std::string> block;
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable)
    block.emplace_back(*variable);
  return CreateSessionFrom(topology::ParseEnvironment(block), options);
}

}  // namespace lockstep::rank
