// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/nccl/nccl_engine.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "collectives/engine/call_check.h"
#include "collectives/engine/member_names.h"
#include "collectives/engine/op_queue.h"
#include "collectives/engine/op_record.h"

namespace lockstep::collectives {
namespace {

// Below what a sleep and a wake-up cost.
constexpr base::Duration kSpin = std::chrono::microseconds(200);

}  // namespace

Work::State NcclWork::state() const {
  const std::lock_guard<std::mutex> lock(engine_->mutex_);
  if (completed_.has_value()) return StateOf(status_);
  return started_.has_value() ? State::kStarted : State::kEnqueued;
}

base::Status NcclWork::status() const {
  const std::lock_guard<std::mutex> lock(engine_->mutex_);
  return completed_.has_value() ? status_ : base::OkStatus();
}

Work::Timings NcclWork::timings() const {
  const std::lock_guard<std::mutex> lock(engine_->mutex_);
  return {.enqueued = enqueued_, .started = started_, .completed = completed_};
}

base::Status NcclWork::Wait() { return engine_->Wait(*this); }
base::Status NcclWork::WaitFor(base::Duration at_most) { return engine_->WaitFor(*this, at_most); }

void NcclWork::OnComplete(Callback callback) {
  {
    const std::lock_guard<std::mutex> lock(engine_->mutex_);
    if (!completed_.has_value()) {
      callbacks_.push_back(std::move(callback));
      return;
    }
  }
  callback(status_);  // which changes no more
}

NcclEngine::NcclEngine(Config config, std::unique_ptr<GroupBoard> board,
                       std::shared_ptr<Communicator> communicator)
    : config_(std::move(config)), board_(std::move(board)) {
  collectives_.engine = this;
  collectives_.lane = std::make_shared<NcclLane>(std::move(communicator));
}

NcclEngine::~NcclEngine() = default;

// ------------------------------------------------------------------------------------ calls of ops

std::shared_ptr<NcclWork> NcclEngine::MakeWork(Op op, base::OpSeq seq) {
  return std::make_shared<NcclWork>(shared_from_this(), std::move(op), seq, clock_.Now());
}

std::shared_ptr<NcclWork> NcclEngine::FailedWork(Op op, base::OpSeq seq, base::Status status) {
  auto work = MakeWork(std::move(op), seq);
  work->completed_ = work->enqueued_;
  work->status_ = std::move(status);
  return work;
}

/// A collective that comes when the group has failed; it may be the one that failed elsewhere.
std::shared_ptr<NcclWork> NcclEngine::LateWork(Op op) {
  const base::OpSeq seq = collectives_.next_seq;
  ++collectives_.next_seq;
  base::Status end = !op.refusal.ok() ? op.refusal : IsRoot(seq) ? root_ : FailedBefore();
  return FailedWork(std::move(op), seq, std::move(end));
}

/// Whether the first error is about that collective.
bool NcclEngine::IsRoot(base::OpSeq seq) const {
  return root_.op().has_value() && root_.op()->seq == seq;
}

base::Status NcclEngine::FailedBefore(const base::Status& root) const {
  return base::AbortedError("group " + config_.info.name +
                            " failed before this call ended and cannot be used any more")
      .WithClass(root.failure_class())
      .WithCause(root);
}

void NcclEngine::Add(Route& route, Op op, const std::shared_ptr<NcclWork>& work) {
  auto part = std::make_shared<NcclPart>();
  part->op = std::move(op);
  part->seq = route.next_seq;
  ++route.next_seq;
  part->work = work;
  moved_at_ = work->enqueued_;
  part->due = awake_.At(work->enqueued_) + part->op.timeout;
  ++work->parts_left_;
  if (config_.recorder != nullptr) {
    part->record =
        BeginRecord(*config_.recorder, config_.info, part->op, part->seq, work->enqueued_);
  }
  if (route.peer < 0) {
    if (config_.check_calls) {
      const uint64_t fingerprint =
          part->op.refusal.ok()
              ? FingerprintOf(part->op, config_.info.id, config_.info.epoch, part->seq)
              : kRefusedFingerprint;
      board_->PostCard(part->seq, MakeCallCard(part->op, fingerprint));
    }
    board_->PostCalled(part->seq);
  } else if (route.board != nullptr) {
    route.board->PostCalled(part->seq);
  }
  route.live.push_back(std::move(part));
}

void NcclEngine::ActivateLocked() {
  if (active_) return;
  active_ = true;
  config_.runtime->Activate(shared_from_this());
}

void NcclEngine::AwaitRoom(Lock& lock, const Route& route) {
  const size_t most = config_.check_calls && route.peer < 0 ? kMaxCompared : kMaxQueued;
  while (root_.ok() && route.live.size() >= most) changed_.wait(lock);
}

std::shared_ptr<Work> NcclEngine::Submit(Op op) {
  Lock lock(mutex_);
  AwaitRoom(lock, collectives_);
  HearOthers();
  if (!root_.ok()) return LateWork(std::move(op));
  const std::shared_ptr<NcclWork> work = MakeWork(op, collectives_.next_seq);
  Add(collectives_, std::move(op), work);
  FailRefused();
  ActivateLocked();
  const std::shared_ptr<NcclLane> lane = collectives_.lane;
  lock.unlock();
  lane->Advance(collectives_);
  return work;
}

void NcclEngine::DeclareLongPhase(base::Duration at_most) {
  board_->PostLongPhase(at_most.count() == 0 ? base::SteadyTime{}
                                             : clock_.Now() + std::min(at_most, kMaxTimeout));
}

// ------------------------------------------------------------------------------------- getting on

std::optional<base::SteadyTime> NcclEngine::Progress() {
  AdvanceRoutes();
  Lock lock(mutex_);
  if (root_.ok()) {
    FailRefused();
    MatchOwnTransfers();
    StartMeetings();
  }
  RunCallbacks(lock);
  const bool busy = AnyLive() || !ready_callbacks_.empty() || aborts_left_ > 0;
  active_ = busy;
  return busy ? std::optional(moved_at_) : std::nullopt;
}

void NcclEngine::AdvanceRoutes() {
  std::vector<std::pair<Route*, std::shared_ptr<NcclLane>>> lanes;
  {
    const Lock lock(mutex_);
    if (!root_.ok()) return;
    const auto add = [&lanes](Route& route) {
      if (route.lane != nullptr && !route.live.empty()) lanes.emplace_back(&route, route.lane);
    };
    add(collectives_);
    for (const auto& [_, route] : transfers_) add(*route);
  }
  for (const auto& [route, lane] : lanes) lane->Advance(*route);
}

std::shared_ptr<NcclPart> NcclEngine::NextOf(Route& route) {
  const Lock lock(mutex_);
  if (!root_.ok() || route.issued == route.live.size()) return nullptr;
  const std::shared_ptr<NcclPart>& part = route.live[route.issued];
  if (!part->op.refusal.ok()) return nullptr;  // it fails once those before it have ended
  if (route.peer == config_.spec.rank.value() && part->twin == nullptr) return nullptr;
  if (config_.check_calls && route.peer < 0 && !CallsAgree(*part)) return nullptr;
  ++route.issued;
  return part;
}

bool NcclEngine::CallsAgree(NcclPart& part) {
  std::vector<CallCard> cards;
  for (int member = 0; member < config_.info.size; ++member) {
    const std::optional<CallCard> card = board_->Card(member, part.seq);
    if (!card.has_value()) return false;
    cards.push_back(*card);
  }
  const auto differs = [&](const CallCard& card) {
    return card.fingerprint != cards.front().fingerprint;
  };
  const bool alike = std::none_of(cards.begin(), cards.end(), differs);
  if (alike && part.op.kind != OpKind::kAllToAllV) return true;
  const std::string name = "op " + part.seq.ToString() + " of group " + config_.info.name;
  const auto describe = [this](const std::vector<int>& members) {
    return NameMembers(config_.spec.world_ranks, members);
  };
  const Disagreement found =
      alike ? JudgeCounts(cards, name, describe) : JudgeCalls(cards, name, describe);
  if (found.error.ok()) return true;
  if (&part != collectives_.live.front().get()) return false;  // those before it may end well
  Fail(Blaming(found.error, found.blamed), &part);
  return false;
}

void NcclEngine::Started(NcclPart& part, base::SteadyTime now) {
  const Lock lock(mutex_);
  if (part.over) return;
  if (!part.work->started_.has_value()) part.work->started_ = now;
  if (config_.recorder != nullptr) config_.recorder->Started(part.record, now);
  if (std::exchange(part.has_started, true)) return;
  config_.seat->AddStreamWaiters(1);
}

void NcclEngine::Ended(Route& route, NcclPart& part, base::SteadyTime now) {
  const Lock lock(mutex_);
  if (part.over) return;
  if (part.twin != nullptr) Over(RouteTo(route.peer, true), base::OkStatus(), now);
  Over(route, base::OkStatus(), now);
}

void NcclEngine::Broken(const base::Status& status, NcclPart* part) {
  const Lock lock(mutex_);
  if (!root_.ok()) return;
  if (part != nullptr) part->culprit = true;
  if (status.failure_class() == base::FailureClass::kPeerDead) {
    if (!broken_.ok()) return;
    broken_ = status;  // until Watch() knows whose end it is, which NCCL does not say
    broken_since_ = clock_.Now();
    return;
  }
  Fail(status, part);
}

/// The first of `route` has ended.
void NcclEngine::Over(Route& route, base::Status status, base::SteadyTime now) {
  const std::shared_ptr<NcclPart> part = std::move(route.live.front());
  route.live.pop_front();
  if (route.issued > 0) --route.issued;
  route.first_since = route.gone_since = {};
  EndPart(*part, status, now);
}

void NcclEngine::EndPart(NcclPart& part, const base::Status& status, base::SteadyTime now) {
  part.over = true;
  if (std::exchange(part.has_started, false)) config_.seat->AddStreamWaiters(-1);
  moved_at_ = now;
  NcclWork& work = *part.work;
  if (config_.recorder != nullptr) {
    const Op& op = part.op;
    const size_t elements = op.kind == OpKind::kRecv
                                ? op.count
                                : InCount(op, config_.info.rank.value(), config_.info.size);
    config_.recorder->Ended(part.record, RecordStateOf(StateOf(status)),
                            status.ok() ? elements * DtypeBytes(op.dtype) : 0, now);
  }
  if (work.status_.ok()) work.status_ = status;
  if (--work.parts_left_ > 0) return;
  work.completed_ = now;
  for (Work::Callback& callback : work.callbacks_)
    ready_callbacks_.emplace_back(std::move(callback), work.status_);
  work.callbacks_.clear();
  changed_.notify_all();
}

void NcclEngine::RunCallbacks(Lock& lock) {
  auto callbacks = std::exchange(ready_callbacks_, {});
  running_callbacks_ = std::this_thread::get_id();
  lock.unlock();
  for (auto& [callback, status] : callbacks) callback(status);
  callbacks.clear();  // what they captured is destroyed outside the lock too
  lock.lock();
  running_callbacks_ = {};
  changed_.notify_all();
}

bool NcclEngine::AnyLive() const { return !collectives_.live.empty() || AnyTransferLive(); }

bool NcclEngine::AnyTransferLive() const {
  return std::any_of(transfers_.begin(), transfers_.end(),
                     [](const auto& entry) { return !entry.second->live.empty(); });
}

/// The first collective that has not ended here, called or not.
base::OpSeq NcclEngine::FirstLive() const {
  return collectives_.live.empty() ? collectives_.next_seq : collectives_.live.front()->seq;
}

bool NcclEngine::idle() {
  const Lock lock(mutex_);
  return !AnyLive() && aborts_left_ == 0;
}

// ----------------------------------------------------------------------------------------- waiting

/// A caller that waits, in the group's seat.
class NcclEngine::Waiting {
 public:
  Waiting(const NcclEngine& engine, const NcclWork& work)
      : seat_(*engine.config_.seat),
        transfers_(work.op_.kind == OpKind::kSend || work.op_.kind == OpKind::kRecv ||
                   work.op_.kind == OpKind::kBatch) {
    seat_.AddWaiters(transfers_, 1);
  }
  ~Waiting() { seat_.AddWaiters(transfers_, -1); }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

 private:
  const Recorder::Seat& seat_;
  const bool transfers_;
};

base::Status NcclEngine::Wait(NcclWork& work) {
  const Waiting waiting(*this, work);
  const base::SteadyTime spin_until = clock_.Now() + kSpin;
  Lock lock(mutex_);
  while (!work.completed_.has_value()) {
    if (!root_.ok() || clock_.Now() >= spin_until) {
      changed_.wait(lock);
      continue;
    }
    lock.unlock();
    AdvanceRoutes();
    std::this_thread::yield();
    lock.lock();
  }
  return work.status_;
}

base::Status NcclEngine::WaitFor(NcclWork& work, base::Duration at_most) {
  const Waiting waiting(*this, work);
  const base::SteadyTime until = clock_.Now() + std::min(at_most, kMaxTimeout);
  Lock lock(mutex_);
  if (changed_.wait_until(lock, until, [&] { return work.completed_.has_value(); }))
    return work.status_;
  return base::DeadlineExceededError(
      DescribeOp(work.op_.kind, work.op_.dtype, work.op_.reduction, work.op_.peer, work.op_.count) +
      " is still in flight after " + base::FormatDuration(at_most) + " of waiting");
}

}  // namespace lockstep::collectives
