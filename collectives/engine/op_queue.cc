// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/engine/op_queue.h"

#include <algorithm>

#include "collectives/engine/quiet_thread.h"
#include "runtime/base/check.h"

namespace lockstep::collectives {

Work::State StateOf(const base::Status& status) {
  switch (status.code()) {
    case base::Code::kOk: return Work::State::kCompleted;
    case base::Code::kDeadlineExceeded: return Work::State::kTimedOut;
    case base::Code::kAborted: return Work::State::kAborted;
    case base::Code::kUnavailable: return Work::State::kRemoteError;
    default: return Work::State::kError;
  }
}

lockstep_record_state RecordStateOf(Work::State state) {
  static_assert(static_cast<int>(Work::State::kRemoteError) + 1 == LOCKSTEP_RECORD_REMOTE_ERROR);
  return static_cast<lockstep_record_state>(static_cast<int>(state) + 1);
}

Work::State QueuedWork::state() const {
  const State state = state_.load(std::memory_order_acquire);
  if (state == State::kEnqueued) {  // who polls does not wait: let the thread do it
    OpQueue::Lock lock(queue_->mutex_);
    if (!queue_->closed_) queue_->NudgeThread(lock);
  }
  return state;
}

base::Status QueuedWork::status() const {
  const OpQueue::Lock lock(queue_->mutex_);
  return status_;
}

Work::Timings QueuedWork::timings() const {
  const OpQueue::Lock lock(queue_->mutex_);
  return {.enqueued = enqueued_, .started = started_, .completed = completed_};
}

base::Status QueuedWork::Wait() { return queue_->Wait(*this); }
base::Status QueuedWork::WaitFor(base::Duration at_most) { return queue_->WaitFor(*this, at_most); }
void QueuedWork::OnComplete(Callback callback) { queue_->OnComplete(*this, std::move(callback)); }

OpQueue::~OpQueue() {
  // Works hold the queue, and so does the running thread: nothing is queued any more.
  LOCKSTEP_CHECK(queue_.empty(), "a queue is closed before it is dropped");
}

std::shared_ptr<QueuedWork> OpQueue::MakeWork(Op&& op) {
  // Without the lock: next_seq_ changes only in Enqueue, and one thread at a time calls these.
  const base::SteadyTime now = clock_.Now();
  const AwakeTime due = awake_.At(now) + op.timeout;
  return std::make_shared<QueuedWork>(shared_from_this(), std::move(op), next_seq_, now, due);
}

std::shared_ptr<Work> OpQueue::Refuse(Op op, base::Status error) {
  auto work = MakeWork(std::move(op));
  const Lock lock(mutex_);
  work->completed_ = work->enqueued_;
  work->state_.store(StateOf(error), std::memory_order_release);
  work->status_ = std::move(error);
  return work;
}

void OpQueue::Enqueue(const std::shared_ptr<QueuedWork>& work) {
  Lock lock(mutex_);
  LOCKSTEP_CHECK(!closed_ && work->seq_ == next_seq_, "one thread at a time calls a group's ops");
  ++next_seq_;
  const bool behind_another = running_ || !queue_.empty();
  queue_.push_back(work);
  if (never_blocks_) {
    if (!running_) RunFront(lock);
    return;
  }
  if (running_) deadline_.BringForward(work->due());
  if (behind_another || parked_ || !thread_.joinable()) {
    urgent_ = urgent_ || behind_another;
    if (!thread_.joinable()) {
      thread_ =
          StartQuietThread("collectives", [self = shared_from_this()] { self->ThreadMain(); });
    } else {
      thread_wake_.notify_one();
    }
  }
  while (queue_.size() > kMaxQueued) RunFrontOrWait(lock);
}

void OpQueue::NudgeThread(Lock&) {
  if (!thread_.joinable()) return;  // never_blocks_
  urgent_ = true;
  thread_wake_.notify_one();
}

// The lock is dropped while the op runs; running_ keeps others from starting the next.
void OpQueue::RunFront(Lock& lock) {
  const std::shared_ptr<QueuedWork> work = std::move(queue_.front());
  queue_.pop_front();
  running_ = true;
  OpDeadline::Due due = work->due();
  for (const auto& other : queue_) {
    if (other->due().at < due.at) due = other->due();
  }
  deadline_.Set(due);
  work->started_ = clock_.Now();
  awake_.At(*work->started_);  // a look: it may have been queued while the process was stopped
  work->state_.store(Work::State::kStarted, std::memory_order_release);

  lock.unlock();
  base::Status status = execute_(*work, deadline_);
  lock.lock();

  running_ = false;
  Finish(work, std::move(status));
}

void OpQueue::Finish(const std::shared_ptr<QueuedWork>& work, base::Status status) {
  const base::SteadyTime now = clock_.Now();
  ended_(*work, status, now);
  for (Work::Callback& callback : work->callbacks_)
    ready_callbacks_.emplace_back(std::move(callback), status);
  work->callbacks_.clear();
  work->completed_ = now;
  work->state_.store(StateOf(status), std::memory_order_release);
  work->status_ = std::move(status);
  changed_.notify_all();
  if (!ready_callbacks_.empty() || !queue_.empty()) thread_wake_.notify_one();
}

base::Status OpQueue::Wait(QueuedWork& work) {
  Lock lock(mutex_);
  if (work.completed_.has_value()) return work.status_;
  CountWaiters(1);
  while (!work.completed_.has_value()) RunFrontOrWait(lock);
  CountWaiters(-1);
  return work.status_;
}

void OpQueue::RunFrontOrWait(Lock& lock) {
  if (running_ || closed_) {
    changed_.wait(lock);
  } else {
    RunFront(lock);
  }
}

// Not on this thread: an op cannot be left in the middle when the time is up.
base::Status OpQueue::WaitFor(QueuedWork& work, base::Duration at_most) {
  Lock lock(mutex_);
  if (!work.completed_.has_value() && !closed_) NudgeThread(lock);
  const base::SteadyTime until = clock_.Now() + std::min(at_most, kMaxTimeout);
  CountWaiters(1);
  const bool has_ended =
      changed_.wait_until(lock, until, [&] { return work.completed_.has_value(); });
  CountWaiters(-1);
  if (has_ended) return work.status_;
  return base::DeadlineExceededError(
      DescribeOp(work.op_.kind, work.op_.dtype, work.op_.reduction, work.op_.peer, work.op_.count) +
      " is still in flight after " + base::FormatDuration(at_most) + " of waiting");
}

void OpQueue::OnComplete(QueuedWork& work, Work::Callback callback) {
  Lock lock(mutex_);
  if (!work.completed_.has_value()) {
    work.callbacks_.push_back(std::move(callback));
    NudgeThread(lock);
    return;
  }
  const base::Status status = work.status_;
  lock.unlock();
  callback(status);
}

void OpQueue::RunCallbacks(Lock& lock) {
  auto callbacks = std::exchange(ready_callbacks_, {});
  lock.unlock();
  for (auto& [callback, status] : callbacks) callback(status);
  callbacks.clear();  // what they captured is destroyed outside the lock too
  lock.lock();
}

void OpQueue::ThreadMain() {
  Lock lock(mutex_);
  int quiet_looks = 0;
  while (true) {
    if (!ready_callbacks_.empty()) {
      RunCallbacks(lock);
      continue;
    }
    if (closed_) {
      if (queue_.empty()) return;
      thread_wake_.wait(
          lock);  // Close() is about to end the rest, and their callbacks are run here
      continue;
    }
    if (queue_.empty()) urgent_ = false;
    if (!queue_.empty()) {
      quiet_looks = 0;
      if (running_) {  // who executes that op looks at the clock, and its end is told
        thread_wake_.wait(lock);
        continue;
      }
      const base::SteadyTime now = clock_.Now();
      awake_.At(now);
      if (urgent_ || now - queue_.front()->enqueued_ >= kPatience) {
        RunFront(lock);
        continue;
      }
    }
    if (quiet_looks < kIdleLooks || !queue_.empty()) {
      ++quiet_looks;
      thread_wake_.wait_for(lock, kPatience);
    } else {
      parked_ = true;
      thread_wake_.wait(lock);
      parked_ = false;
      quiet_looks = 0;
    }
  }
}

void OpQueue::Close(const base::Status& reason) {
  Lock lock(mutex_);
  closed_ = true;
  changed_.wait(lock, [this] { return !running_; });
  while (!queue_.empty()) {
    const std::shared_ptr<QueuedWork> work = queue_.front();
    queue_.pop_front();
    Finish(work, reason);
  }
  seat_ = nullptr;
  thread_wake_.notify_one();
  std::thread thread = std::move(thread_);
  lock.unlock();
  JoinUnlessSelf(std::move(thread));
}

}  // namespace lockstep::collectives
