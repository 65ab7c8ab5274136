// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_ENGINE_OP_QUEUE_H_
#define LOCKSTEP_COLLECTIVES_ENGINE_OP_QUEUE_H_

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "collectives/awake_clock.h"
#include "collectives/engine/op.h"
#include "collectives/engine/op_deadline.h"
#include "collectives/recorder/recorder.h"
#include "collectives/work.h"
#include "runtime/base/clock.h"

namespace lockstep::collectives {

class OpQueue;

/// The final state of an op that ended with `status`, and how the recorder spells a state.
Work::State StateOf(const base::Status& status);
lockstep_record_state RecordStateOf(Work::State state);

/// A Work of an OpQueue. All its changing state is the queue's, under the queue's mutex.
class QueuedWork final : public Work {
 public:
  QueuedWork(std::shared_ptr<OpQueue> queue, Op&& op, base::OpSeq seq, base::SteadyTime enqueued,
             AwakeTime due)
      : queue_(std::move(queue)), op_(std::move(op)), seq_(seq), enqueued_(enqueued), due_(due) {}

  State state() const override;
  base::OpSeq seq() const override { return seq_; }
  base::Status status() const override;
  Timings timings() const override;
  base::Status Wait() override;
  base::Status WaitFor(base::Duration at_most) override;
  void OnComplete(Callback callback) override;

  const Op& op() const { return op_; }
  base::SteadyTime enqueued() const { return enqueued_; }
  OpDeadline::Due due() const { return {.at = due_, .seq = seq_, .timeout = op_.timeout}; }
  /// When Execute began; for the executor.
  base::SteadyTime started() const { return *started_; }
  /// The executor's own, from Enqueue's caller to Execute.
  Recorder::Ticket record;

 private:
  friend class OpQueue;

  const std::shared_ptr<OpQueue> queue_;  // the caller may keep a Work longer than its group
  const Op op_;
  const base::OpSeq seq_;
  const base::SteadyTime enqueued_;
  const AwakeTime due_;

  std::atomic<State> state_{State::kEnqueued};  // written under the queue's mutex
  base::Status status_;                         // this and the rest guarded by the queue's mutex
  std::optional<base::SteadyTime> started_;
  std::optional<base::SteadyTime> completed_;
  std::vector<Callback> callbacks_;
};

/// Runs the ops of one group one after the other, in the order they came, on whichever thread is
/// best: a caller that waits executes what is queued on its own thread, because handing it to
/// another one and back costs two context switches (about 60 us here) against ops of one;
/// everything else is the progress thread's: a second op queued behind one, a callback, a bounded
/// wait, polling, or an op that nobody has begun to wait for within kPatience.
///
/// The progress thread starts with the first op and looks in once every kPatience while ops come,
/// so that queueing a lone op costs no wake-up; after kIdleLooks quiet looks, and while another
/// thread executes an op, it sleeps until it is told.
///
/// Thread-safe. Held by shared_ptr, since Works and the progress thread may outlive the group.
class OpQueue : public std::enable_shared_from_this<OpQueue> {
 public:
  /// Executes one op and blocks until its end. `deadline` may move closer meanwhile.
  using Execute = std::function<base::Status(QueuedWork&, const OpDeadline& deadline)>;
  /// Told of each op that ends, before its waiters are.
  using Ended = std::function<void(QueuedWork&, const base::Status&, base::SteadyTime now)>;

  static constexpr base::Duration kPatience = std::chrono::milliseconds(1);
  static constexpr int kIdleLooks = 100;
  /// Ops in flight in one group; a further call waits until one has ended.
  static constexpr size_t kMaxQueued = 4096;

  /// `never_blocks`: ops run inside Enqueue (a group of one).
  OpQueue(Execute execute, Ended ended, bool never_blocks)
      : execute_(std::move(execute)), ended_(std::move(ended)), never_blocks_(never_blocks) {}
  ~OpQueue();
  /// Where callers that wait are counted, until Close(). Once, before the first op.
  void CountWaitersIn(const Recorder::Seat& seat) { seat_ = &seat; }

  std::shared_ptr<QueuedWork> MakeWork(Op&& op);
  /// Queues what MakeWork made; its number is the next in order. Blocks: while more than kMaxQueued
  /// are in flight, executing some of them meanwhile; their deadlines, and that of `work`, bound
  /// it.
  void Enqueue(const std::shared_ptr<QueuedWork>& work);
  /// A Work that was never queued, with the error that kept it from that.
  std::shared_ptr<Work> Refuse(Op op, base::Status error);

  /// Ends everything queued with `reason` and waits for the op in progress, which the owner has
  /// interrupted. Callbacks have run when it returns, unless it is called from one. Nothing
  /// executes afterwards.
  void Close(const base::Status& reason);

 private:
  friend class QueuedWork;
  using Lock = std::unique_lock<std::mutex>;

  void CountWaiters(int change) {
    if (seat_ != nullptr) seat_->AddWaiters(false, change);
  }
  void RunFront(Lock& lock);
  /// One step of who waits for ops to end.
  void RunFrontOrWait(Lock& lock);
  void Finish(const std::shared_ptr<QueuedWork>& work, base::Status status);
  void NudgeThread(Lock& lock);
  void ThreadMain();
  void RunCallbacks(Lock& lock);
  base::Status Wait(QueuedWork& work);
  base::Status WaitFor(QueuedWork& work, base::Duration at_most);
  void OnComplete(QueuedWork& work, Work::Callback callback);

  Execute execute_;
  Ended ended_;
  const bool never_blocks_;
  base::RealClock clock_;
  AwakeClock awake_{
      clock_};  // looked at by whoever executes an op, and by the thread while ops are queued
  OpDeadline deadline_{awake_};  // of the op in progress

  std::mutex mutex_;
  std::condition_variable changed_;  // an op ended, or the runner is free
  std::condition_variable thread_wake_;
  // Guarded by mutex_:
  std::deque<std::shared_ptr<QueuedWork>> queue_;
  std::vector<std::pair<Work::Callback, base::Status>> ready_callbacks_;
  bool running_ = false;  // someone executes an op
  bool urgent_ = false;   // the thread is to take what is queued at once
  bool parked_ = false;   // the thread sleeps until told
  bool closed_ = false;
  const Recorder::Seat* seat_ = nullptr;  // null: nobody wants to know
  std::thread thread_;

  base::OpSeq next_seq_{1};  // touched by the group's caller alone
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_ENGINE_OP_QUEUE_H_
