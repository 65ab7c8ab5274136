// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/mpi/mpi_engine.h"
#include "collectives/engine/quiet_thread.h"

#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <utility>

#include "runtime/base/check.h"

namespace lockstep::collectives {
namespace {

// How long the thread tests what is in flight without a rest, and how long it rests then: an eighth
// of the time that it has waited.
constexpr base::Duration kBusyTime = std::chrono::microseconds(200);
constexpr base::Duration kLongestRest = std::chrono::milliseconds(1);
// Before it gives up its core: on a busy machine that is gone for milliseconds, and a small op
// takes a few microseconds.
constexpr base::Duration kEagerTime = std::chrono::microseconds(30);
// With nothing in flight.
constexpr base::Duration kIdleTime = std::chrono::milliseconds(100);
constexpr base::Duration kIdleRest = std::chrono::milliseconds(10);
// What is in flight at the end gets this long: messages that say goodbye are on their way.
constexpr base::Duration kLastWords = std::chrono::milliseconds(500);

// What MPI_Finalize may take when all ranks are about to call it.
constexpr base::Duration kFinalizeTime = std::chrono::seconds(10);

constexpr int kControlTag = 1;

void Combine(const void* context, const void* in, void* inout, size_t count) {
  auto* const out = static_cast<std::byte*>(inout);
  const std::byte* const both[] = {static_cast<const std::byte*>(in), out};
  (*static_cast<const ReduceKernel*>(context))(out, both, nullptr, 2, count);
}

const int* DataOf(const std::vector<int>& numbers) {
  return numbers.empty() ? nullptr : numbers.data();
}

}  // namespace

base::Result<std::shared_ptr<MpiEngine>> MpiEngine::Start(Config config) {
  ASSIGN_OR_RETURN(MpiLibrary library, MpiLibrary::Load(config.plugin));
  const std::shared_ptr<MpiEngine> engine(new MpiEngine(std::move(config), std::move(library)),
                                          [](MpiEngine* made) {
                                            if (made->End()) delete made;
                                          });
  engine->thread_ = StartQuietThread("mpi", [self = engine.get()] { self->ThreadMain(); });

  std::unique_lock<std::mutex> lock(engine->mutex_);
  if (!engine->changed_.wait_for(lock, engine->config_.start_timeout,
                                 [&] { return engine->phase_ != Phase::kStarting; })) {
    return base::DeadlineExceededError(
        "starting MPI: MPI_Init of " + engine->Describe() + " did not return within " +
        base::FormatDuration(engine->config_.start_timeout) +
        "; it waits for all ranks that its mpirun started: have they all called it?");
  }
  RETURN_IF_ERROR(engine->start_status_);
  return engine;
}

MpiEngine::MpiEngine(Config config, MpiLibrary library)
    : config_(std::move(config)),
      library_(std::move(library)),
      ending_(std::make_shared<MpiEnding>()) {}

MpiEngine::~MpiEngine() = default;

bool MpiEngine::End() {
  std::unique_lock<std::mutex> lock(mutex_);
  closing_ = true;
  wake_.notify_one();
  const auto is_over = [this] { return phase_ == Phase::kEnded || phase_ == Phase::kLeftOpen; };
  const auto limit = std::chrono::steady_clock::now() + config_.end_timeout + kFinalizeTime;
  bool over = false, held = false;
  while (!over && !held && std::chrono::steady_clock::now() < limit) {
    const uint64_t step = creation_steps_.load();
    over = changed_.wait_for(lock, kLastWords, is_over);
    // By a group that nobody here waits for any more; not by two, one after the other.
    held = IsHeld() && creation_steps_.load() == step;
  }
  lock.unlock();
  if (over) {
    thread_.join();
  } else {
    thread_.detach();
  }
  return over;
}

std::string MpiEngine::Describe() const {
  return library_.version() + " (through " + library_.path() + ")";
}

// ------------------------------------------------------------------------------------- any thread

void MpiEngine::Command(std::function<void()> command) {
  const std::lock_guard<std::mutex> lock(mutex_);
  commands_.push_back(std::move(command));
  wake_.notify_one();
}

void MpiEngine::Post(std::shared_ptr<Port> port, std::shared_ptr<MpiCall> call) {
  call->done_.store(false, std::memory_order_relaxed);
  Command([this, port = std::move(port), call = std::move(call)] {
    LOCKSTEP_CHECK(port->comm_ != nullptr, "calls come after OnComm(OK)");
    base::Status status = StartCall(port->comm_, *call);
    if (status.ok()) {
      ++port->in_flight_;
      pending_.push_back({port, call});
      return;
    }
    call->status_ = std::move(status);
    End({port, call});
  });
}

void MpiEngine::Send(int world_rank, const ControlMessage& message) {
  Command([this, world_rank, message] { SendNow(world_rank, message); });
}

void MpiEngine::CancelReceives(std::shared_ptr<Port> port) {
  Command([this, port = std::move(port)] {
    for (const Pending& pending : pending_) {
      if (pending.port == port && pending.call->kind == LOCKSTEP_MPI_RECV)
        library_.api().cancel(pending.call->request_);
    }
    look_for_over_ = true;
  });
}

// -------------------------------------------------------------------------------- the MPI's thread

void MpiEngine::ThreadMain() {
  const base::Status started = StartMpi();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    start_status_ = started;
    phase_ = started.ok() ? Phase::kRunning : Phase::kEnded;
    changed_.notify_all();
  }
  if (!started.ok()) return;
  for (auto last = std::chrono::steady_clock::now();;) {
    const bool busy = Step();
    const auto now = std::chrono::steady_clock::now();
    if (busy) {
      last = now;
      continue;
    }
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (closing_ && commands_.empty()) break;
    }
    Rest(now - last);
  }
  EndMpi();
}

base::Status MpiEngine::StartMpi() {
  const lockstep_mpi_api& api = library_.api();
  EndProcessBy(ending_);
  base::Status status =
      library_.StatusOf(api.init(&world_rank_, &world_size_), "starting MPI with MPI_Init");
  if (!status.ok()) {
    ending_->left_open.store(false);  // it has not begun
    return base::FailedPreconditionError(status.message());
  }
  RETURN_IF_ERROR(library_.StatusOf(api.duplicate_world(&control_comm_),
                                    "making a communicator for control messages"));
  outlives_ranks_ = api.outlives() != 0;
  for (int source = 0; source < (outlives_ranks_ ? world_size_ : 1); ++source) {
    if (outlives_ranks_ && source == world_rank_) continue;
    control_.push_back(std::make_shared<MpiCall>());
    control_.back()->peer = outlives_ranks_ ? source : LOCKSTEP_MPI_ANY_PEER;
    ReceiveControl(*control_.back());
  }
  return base::OkStatus();
}

// MPI_Finalize waits for the other ranks, and could do nothing else meanwhile. So they meet in a
// barrier first, while this rank goes on answering those that have not come yet.
void MpiEngine::EndMpi() {
  bool clean = AwaitQuiet(kLastWords) && dead_.empty();
  if (clean) {
    auto barrier = std::make_shared<MpiCall>();
    clean = StartCall(control_comm_, *barrier).ok();
    if (clean) pending_.push_back({nullptr, barrier});
    clean = clean && AwaitQuiet(config_.end_timeout) && barrier->status().ok();
  }
  if (clean) {
    for (const auto& receive : control_) {
      library_.api().cancel(receive->request_);
      for (int ended = 0; ended == 0;) (void)library_.api().test(receive->request_, &ended);
    }
    if (library_.api().finalize() == LOCKSTEP_MPI_OK) ending_->left_open.store(false);
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  phase_ = clean ? Phase::kEnded : Phase::kLeftOpen;
  changed_.notify_all();
}

bool MpiEngine::AwaitQuiet(base::Duration at_most) {
  const auto begin = std::chrono::steady_clock::now();
  while (!pending_.empty() || making_.has_value()) {
    if (Step()) continue;
    const base::Duration waited = std::chrono::steady_clock::now() - begin;
    if (waited >= at_most) return false;
    Rest(waited);
  }
  return true;
}

void MpiEngine::Rest(base::Duration quiet) {
  const bool waits = !pending_.empty() || making_.has_value() || unanswered_ > 0;
  if (waits && quiet < kBusyTime) {
    if (quiet >= kEagerTime) sched_yield();
    return;
  }
  const base::Duration rest = waits               ? std::min(kLongestRest, quiet / 8)
                              : quiet < kIdleTime ? kLongestRest
                                                  : kIdleRest;
  std::unique_lock<std::mutex> lock(mutex_);
  const bool in_flight = !pending_.empty() || making_.has_value();  // then it tests on at the end
  wake_.wait_for(lock, rest, [&] { return !commands_.empty() || (closing_ && !in_flight); });
}

bool MpiEngine::Step() {
  const bool commands = RunCommands();
  const bool made = TestMaking();
  const bool ended = TestPending();
  const bool messages = TestControl();
  if (std::exchange(look_for_over_, false)) FreeCommsOfThoseOver();
  return commands || made || ended || messages;
}

bool MpiEngine::RunCommands() {
  std::deque<std::function<void()>> commands;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    commands.swap(commands_);
  }
  for (const std::function<void()>& command : commands) command();
  return !commands.empty();
}

bool MpiEngine::TestPending() {
  bool any = false;
  for (size_t i = 0; i < pending_.size();) {
    MpiCall& call = *pending_[i].call;
    int ended = 0;
    const lockstep_mpi_result result = library_.api().test(call.request_, &ended);
    if (ended == 0) {
      ++i;
      continue;
    }
    any = true;
    call.status_ = library_.StatusOf(result, "a call to MPI");
    call.request_ = nullptr;
    const Pending over = std::move(pending_[i]);
    pending_[i] = std::move(pending_.back());
    pending_.pop_back();
    if (over.port != nullptr) {
      --over.port->in_flight_;
      look_for_over_ = true;
    }
    End(over);
  }
  return any;
}

// One that another member's revoke() has ended may come before the news of who has died.
void MpiEngine::End(const Pending& over) {
  const bool by_death =
      outlives_ranks_ && over.call->status_.failure_class() == base::FailureClass::kPeerDead;
  if (by_death && over.port != nullptr && !over.port->hurt_) {
    lost_.push_back(over);
    return;
  }
  over.call->done_.store(true, std::memory_order_release);
  if (over.port != nullptr) over.port->OnEnded();
}

base::Status MpiEngine::StartCall(lockstep_mpi_comm* comm, MpiCall& call) {
  lockstep_mpi_call args{};
  if (call.reduction != Reduction::kNone) {
    ASSIGN_OR_RETURN(args.reducer, ReducerFor(call.dtype, call.reduction));
  }
  args.kind = call.kind;
  args.comm = comm;
  args.peer = call.peer;
  args.tag = call.tag;
  args.in = call.in.data();
  args.out = call.out.data();
  args.count = call.count;
  args.in_counts = DataOf(call.in_counts);
  args.in_offsets = DataOf(call.in_offsets);
  args.out_counts = DataOf(call.out_counts);
  args.out_offsets = DataOf(call.out_offsets);
  return library_.StatusOf(library_.api().start(&args, &call.request_), "posting a call to MPI");
}

base::Result<const lockstep_mpi_reducer*> MpiEngine::ReducerFor(Dtype dtype, Reduction reduction) {
  const auto row = static_cast<size_t>(dtype), column = static_cast<size_t>(reduction);
  lockstep_mpi_reducer*& reducer = reducers_[row][column];
  if (reducer == nullptr) {
    kernels_[row][column] = FindReduceKernel(dtype, reduction);
    LOCKSTEP_CHECK(kernels_[row][column] != nullptr, "capabilities say what can be reduced");
    RETURN_IF_ERROR(library_.StatusOf(
        library_.api().create_reducer(&Combine, &kernels_[row][column],
                                      static_cast<int>(DtypeBytes(dtype)), &reducer),
        "making a reduction"));
  }
  return reducer;
}

// ------------------------------------------------------------------------------- control messages

void MpiEngine::SendNow(int world_rank, const ControlMessage& message) {
  ControlMessage stamped = message;
  stamped.world_rank = world_rank_;
  if (world_rank == world_rank_) {
    to_itself_.push_back(stamped);
    return;
  }
  if (dead_.contains(world_rank)) return;
  auto call = std::make_shared<MpiCall>();
  call->kind = LOCKSTEP_MPI_SEND;
  call->peer = world_rank;
  call->tag = kControlTag;
  call->count = sizeof message;
  std::memcpy(call->in.Reserve(sizeof stamped), &stamped, sizeof stamped);
  // Who cannot be told finds out by a deadline.
  if (StartCall(control_comm_, *call).ok()) pending_.push_back({nullptr, std::move(call)});
}

void MpiEngine::ReceiveControl(MpiCall& receive) {
  receive.kind = LOCKSTEP_MPI_RECV;
  receive.tag = kControlTag;
  receive.count = sizeof(ControlMessage);
  receive.out.Reserve(sizeof(ControlMessage));
  receive.status_ = StartCall(control_comm_, receive);
  LOCKSTEP_CHECK(receive.status_.ok() || outlives_ranks_, "MPI takes a receive");
}

bool MpiEngine::TestControl() {
  bool any = !to_itself_.empty();
  for (const ControlMessage& message : std::exchange(to_itself_, {})) Handle(message);
  for (size_t i = 0; i < control_.size();) {
    while (control_[i]->status_.ok() && TestControlFrom(*control_[i])) any = true;
    if (control_[i]->status_.ok()) {
      ++i;
      continue;
    }
    any = true;
    const int died = control_[i]->peer;
    control_.erase(control_.begin() + static_cast<std::ptrdiff_t>(i));
    Died(died);
  }
  return any;
}

/// False: nothing has come. Its status says whether more can.
bool MpiEngine::TestControlFrom(MpiCall& receive) {
  int ended = 0;
  const lockstep_mpi_result result = library_.api().test(receive.request_, &ended);
  if (ended == 0) return false;
  if (result == LOCKSTEP_MPI_PEER_FAILED) {
    receive.status_ = library_.StatusOf(result, "hearing of a rank");
    return false;
  }
  ControlMessage message;
  std::memcpy(&message, receive.out.data(), sizeof message);
  ReceiveControl(receive);
  if (result == LOCKSTEP_MPI_OK && message.layout == sizeof message) Handle(message);
  return true;
}

// Everything in flight in its groups ends, on all members; and what waits for the word of a dead
// orderer asks the next one.
void MpiEngine::Died(int world_rank) {
  const int orderer = Orderer();
  dead_.insert(world_rank);
  ending_->outlived.store(true);
  for (const auto& [key, opened] : opened_) {
    Port& port = *opened.port;
    if (port.OnDied(world_rank)) {
      port.hurt_ = true;
      if (port.comm_ != nullptr) library_.api().revoke(port.comm_);
    }
    if (orderer == world_rank && opened.asked.has_value()) SendNow(Orderer(), *opened.asked);
  }
  look_for_over_ = true;
  for (const Pending& over : std::exchange(lost_, {})) End(over);
}

int MpiEngine::Orderer() const {
  int first = 0;
  while (dead_.contains(first)) ++first;
  return first;
}

void MpiEngine::Handle(const ControlMessage& message) {
  using Kind = ControlMessage::Kind;
  if (message.kind == Kind::kReady || message.kind == Kind::kWithdraw) {
    HandleReady(message);
    return;
  }
  if (message.kind == Kind::kGo || message.kind == Kind::kWithdrawn) {
    HandleAnswer(message);
    return;
  }
  if (const auto opened = opened_.find(message.key); opened != opened_.end()) {
    opened->second.port->OnMessage(message);
    if (message.kind == Kind::kLeft) look_for_over_ = true;
    return;
  }
  if (message.kind == Kind::kAsk || message.kind == Kind::kTell) return;  // of one that is over
  early_.push_back(message);
  if (early_.size() > kMaxEarly) early_.pop_front();
}

}  // namespace lockstep::collectives
