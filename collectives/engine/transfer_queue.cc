// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/engine/transfer_queue.h"

#include <sched.h>

#include <algorithm>

#include "collectives/engine/op_queue.h"
#include "collectives/engine/quiet_thread.h"
#include "runtime/base/check.h"

namespace lockstep::collectives {
namespace {

// Fruitless looks of who moves, before it gives up the core, and before it sleeps.
constexpr int kSpins = 200;
constexpr int kYields = 1000;
constexpr base::Duration kSleep = std::chrono::milliseconds(1);
// Of the thread while a caller moves what there is, and says when it leaves.
constexpr base::Duration kLongSleep = std::chrono::milliseconds(10);
// The thread gives a caller this long to come and wait.
constexpr base::Duration kPatience = std::chrono::milliseconds(1);

}  // namespace

TransferWork::TransferWork(std::shared_ptr<TransferQueue> queue, Op batch,
                           std::vector<Moving> transfers, base::SteadyTime enqueued, AwakeTime due)
    : queue_(std::move(queue)),
      batch_(std::move(batch)),
      seq_(transfers.empty() ? base::OpSeq(0) : transfers.front().seq),
      enqueued_(enqueued),
      due_(due),
      transfers_(std::move(transfers)),
      left_(transfers_.size()) {}

Work::State TransferWork::state() const {
  const State state = state_.load(std::memory_order_acquire);
  if (state <= State::kStarted) {  // who polls does not wait: let the thread do it
    const TransferQueue::Lock lock(queue_->mutex_);
    queue_->urgent_ = true;
    queue_->NudgeThread();
  }
  return state;
}

base::Status TransferWork::status() const {
  const TransferQueue::Lock lock(queue_->mutex_);
  return status_;
}

Work::Timings TransferWork::timings() const {
  const TransferQueue::Lock lock(queue_->mutex_);
  return {.enqueued = enqueued_, .started = started_, .completed = completed_};
}

base::Status TransferWork::Wait() { return queue_->Wait(*this); }
base::Status TransferWork::WaitFor(base::Duration at_most) {
  return queue_->WaitFor(*this, at_most);
}
void TransferWork::OnComplete(Callback callback) { queue_->OnComplete(*this, std::move(callback)); }

TransferQueue::~TransferQueue() {
  LOCKSTEP_CHECK(in_flight_ == 0, "a queue is closed before it is dropped");
}

std::shared_ptr<Work> TransferQueue::Refuse(Op batch, base::Status error) {
  const base::SteadyTime now = clock_.Now();
  auto work = std::make_shared<TransferWork>(shared_from_this(), std::move(batch),
                                             std::vector<Moving>(), now, AwakeTime());
  const Lock lock(mutex_);
  work->status_ = std::move(error);
  EndWork(*work);
  return work;
}

std::shared_ptr<Work> TransferQueue::Start(std::vector<Op> ops, Op batch) {
  if (ops.empty()) return Refuse(std::move(batch), base::OkStatus());
  const base::SteadyTime now = clock_.Now();
  Lock lock(mutex_);
  for (int spins = 0; in_flight_ > 0 && in_flight_ + ops.size() > kMaxInFlight && !closed_;)
    PumpOrWait(lock, spins, kSleep);
  const AwakeTime due = awake_.At(now) + batch.timeout;
  std::vector<Moving> transfers;
  transfers.reserve(ops.size());
  for (Op& op : ops) {
    base::OpSeq& next =
        next_seq_.try_emplace({op.peer, op.kind == OpKind::kRecv}, base::OpSeq(1)).first->second;
    transfers.push_back({.op = std::move(op), .seq = next});
    ++next;
  }
  auto work = std::make_shared<TransferWork>(shared_from_this(), std::move(batch),
                                             std::move(transfers), now, due);
  for (size_t index = 0; index < work->transfers_.size(); ++index) {
    const Moving& moving = work->transfers_[index];
    if (hooks_.begin) work->records_.push_back(hooks_.begin(moving, now));
    lanes_[{moving.op.peer, moving.op.kind == OpKind::kRecv}].push_back({work, index});
  }
  in_flight_ += work->transfers_.size();
  if (closed_) {
    for (size_t index = 0; index < work->transfers_.size(); ++index)
      EndTransfer(*work, index, base::AbortedError("the group was torn down"));
    lanes_.clear();
    return work;
  }
  // What can go at once goes now: a small send needs nobody else.
  if (!pumping_) Pump(lock);
  if (work->left_ > 0 && (parked_ || !thread_.joinable())) NudgeThread();
  return work;
}

// The fronts of all lanes, copied: the lock is not held while they move.
bool TransferQueue::Pump(Lock& lock) {
  std::vector<std::pair<Lane, Place>> fronts;
  const base::SteadyTime now = clock_.Now();
  for (auto& [lane, places] : lanes_) {
    if (places.empty()) continue;
    const Place& place = places.front();
    if (!place.work->started_.has_value()) {
      place.work->started_ = now;
      place.work->state_.store(Work::State::kStarted, std::memory_order_release);
    }
    fronts.emplace_back(lane, place);
  }
  pumping_ = true;
  lock.unlock();
  bool moved = false;
  std::vector<std::pair<Lane, Place>> over;
  const AwakeTime awake_now = awake_.At(now);
  for (auto& front : fronts) {
    Moving& moving = front.second.work->transfers_[front.second.index];
    const size_t before = moving.moved;
    const bool begun = moving.begun;
    bool ended = backend_.Advance(moving);
    if (!ended && awake_now >= front.second.work->due_) {
      moving.result = hooks_.expire(moving);
      ended = true;
    }
    moved |= ended || moving.moved != before || moving.begun != begun;
    if (ended) over.push_back(front);
  }
  lock.lock();
  pumping_ = false;
  for (auto& [lane, place] : over) {
    if (closed_) break;  // Close() ends them
    lanes_[lane].pop_front();
    EndTransfer(*place.work, place.index, place.work->transfers_[place.index].result);
  }
  if (!over.empty() || waiting_ > 1 || closed_) changed_.notify_all();
  return moved;
}

void TransferQueue::EndTransfer(TransferWork& work, size_t index, base::Status result) {
  --in_flight_;
  --work.left_;
  Moving& moving = work.transfers_[index];
  moving.result = std::move(result);
  if (hooks_.end) hooks_.end(work.records_[index], moving, clock_.Now());
  if (!moving.result.ok() && work.status_.ok()) work.status_ = moving.result;
  // A failed transfer has failed the group, so that the others of the batch end too.
  if (work.left_ == 0) EndWork(work);
}

void TransferQueue::EndWork(TransferWork& work) {
  for (Work::Callback& callback : work.callbacks_)
    ready_callbacks_.emplace_back(std::move(callback), work.status_);
  work.callbacks_.clear();
  work.completed_ = clock_.Now();
  work.state_.store(StateOf(work.status_), std::memory_order_release);
  changed_.notify_all();
  if (!ready_callbacks_.empty()) thread_wake_.notify_one();
}

void TransferQueue::PumpOrWait(Lock& lock, int& spins, base::Duration at_most) {
  if (pumping_) {
    changed_.wait_for(lock, at_most);
    return;
  }
  if (Pump(lock)) {
    spins = 0;
    return;
  }
  ++spins;
  if (spins < kSpins) return;
  pumping_ = true;
  lock.unlock();
  if (spins < kSpins + kYields) {
    sched_yield();
  } else {
    backend_.AwaitTransfers(at_most);
  }
  lock.lock();
  pumping_ = false;
  if (waiting_ > 1 || closed_) changed_.notify_all();  // Close() waits for it
}

base::Status TransferQueue::Wait(TransferWork& work) {
  Lock lock(mutex_);
  ++waiting_;
  CountWaiters(1);
  for (int spins = 0; !work.completed_.has_value();) PumpOrWait(lock, spins, kSleep);
  CountWaiters(-1);
  --waiting_;
  if (in_flight_ > 0 && waiting_ == 0) NudgeThread();
  return work.status_;
}

base::Status TransferQueue::WaitFor(TransferWork& work, base::Duration at_most) {
  Lock lock(mutex_);
  urgent_ = true;
  NudgeThread();
  const base::SteadyTime until = clock_.Now() + std::min(at_most, kMaxTimeout);
  CountWaiters(1);
  const bool has_ended =
      changed_.wait_until(lock, until, [&] { return work.completed_.has_value(); });
  CountWaiters(-1);
  if (has_ended) return work.status_;
  return base::DeadlineExceededError(std::string(OpKindName(work.batch_.kind)) +
                                     " is still in flight after " + base::FormatDuration(at_most) +
                                     " of waiting");
}

void TransferQueue::OnComplete(TransferWork& work, Work::Callback callback) {
  Lock lock(mutex_);
  if (!work.completed_.has_value()) {
    work.callbacks_.push_back(std::move(callback));
    urgent_ = true;
    NudgeThread();
    return;
  }
  const base::Status status = work.status_;
  lock.unlock();
  callback(status);
}

void TransferQueue::NudgeThread() {
  if (closed_) return;
  if (thread_.joinable()) {
    thread_wake_.notify_one();
    return;
  }
  thread_ = StartQuietThread("transfers", [self = shared_from_this()] { self->ThreadMain(); });
}

void TransferQueue::RunCallbacks(Lock& lock) {
  auto callbacks = std::exchange(ready_callbacks_, {});
  lock.unlock();
  for (auto& [callback, status] : callbacks) callback(status);
  callbacks.clear();  // what they captured is destroyed outside the lock too
  lock.lock();
}

void TransferQueue::ThreadMain() {
  Lock lock(mutex_);
  int spins = 0;
  while (true) {
    if (!ready_callbacks_.empty()) {
      RunCallbacks(lock);
    } else if (closed_) {
      if (in_flight_ == 0) return;
      thread_wake_.wait(lock);
    } else if (in_flight_ == 0) {
      spins = 0;
      urgent_ = false;
      parked_ = true;
      thread_wake_.wait(lock);
      parked_ = false;
      // A caller that waits moves by itself, and most do at once.
      if (!urgent_ && !closed_ && ready_callbacks_.empty()) thread_wake_.wait_for(lock, kPatience);
    } else if (waiting_ > 0) {
      thread_wake_.wait_for(lock, kLongSleep);
    } else {
      PumpOrWait(lock, spins, kSleep);
    }
  }
}

void TransferQueue::Close(const base::Status& reason) {
  Lock lock(mutex_);
  closed_ = true;
  changed_.wait(lock, [this] { return !pumping_; });
  auto lanes = std::exchange(lanes_, {});
  for (auto& [lane, places] : lanes) {
    for (const Place& place : places) EndTransfer(*place.work, place.index, reason);
  }
  seat_ = nullptr;
  thread_wake_.notify_one();
  std::thread thread = std::move(thread_);
  lock.unlock();
  JoinUnlessSelf(std::move(thread));
}

}  // namespace lockstep::collectives
