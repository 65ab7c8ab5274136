// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_ENGINE_TRANSFER_QUEUE_H_
#define LOCKSTEP_COLLECTIVES_ENGINE_TRANSFER_QUEUE_H_

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "collectives/awake_clock.h"
#include "collectives/engine/backend.h"
#include "collectives/engine/op.h"
#include "collectives/recorder/recorder.h"
#include "collectives/work.h"
#include "runtime/base/clock.h"

namespace lockstep::collectives {

class TransferQueue;

/// A batch of sends and receives in flight. All its changing state is the queue's, under the
/// queue's mutex.
class TransferWork final : public Work, public std::enable_shared_from_this<TransferWork> {
 public:
  TransferWork(std::shared_ptr<TransferQueue> queue, Op batch, std::vector<Moving> transfers,
               base::SteadyTime enqueued, AwakeTime due);

  State state() const override;
  /// Of the first transfer, in its pair and direction.
  base::OpSeq seq() const override { return seq_; }
  base::Status status() const override;
  Timings timings() const override;
  base::Status Wait() override;
  base::Status WaitFor(base::Duration at_most) override;
  void OnComplete(Callback callback) override;

 private:
  friend class TransferQueue;

  const std::shared_ptr<TransferQueue> queue_;  // the caller may keep a Work longer than its group
  const Op batch_;
  const base::OpSeq seq_;
  const base::SteadyTime enqueued_;
  const AwakeTime due_;

  std::atomic<State> state_{State::kEnqueued};  // written under the queue's mutex
  // Whoever moves transfers; the rest guarded by the queue's mutex:
  std::vector<Moving> transfers_;
  std::vector<Recorder::Ticket> records_;  // by transfer
  size_t left_ = 0;
  base::Status status_;
  std::optional<base::SteadyTime> started_;
  std::optional<base::SteadyTime> completed_;
  std::vector<Callback> callbacks_;
};

/// The sends and receives of one group. For each member and direction one at a time moves, in the
/// order they came; the pairs do not wait for each other. One thread at a time moves all that can
/// be moved: a caller that waits, else a thread that lives while transfers are in flight without
/// such a caller (and some time longer).
///
/// Thread-safe. Held by shared_ptr, since Works and the thread may outlive the group.
class TransferQueue : public std::enable_shared_from_this<TransferQueue> {
 public:
  /// What the queue wants of the group.
  struct Hooks {
    /// Of the transfers' records; may be empty.
    std::function<Recorder::Ticket(const Moving&, base::SteadyTime enqueued)> begin;
    std::function<void(const Recorder::Ticket&, const Moving&, base::SteadyTime now)> end;
    /// The error of a transfer whose time is up, which is then the group's.
    std::function<base::Status(const Moving&)> expire;
  };

  /// Transfers in flight; further ones wait for their turn in Start().
  static constexpr size_t kMaxInFlight = 4096;

  /// `backend` outlives Close().
  TransferQueue(Backend& backend, Hooks hooks) : backend_(backend), hooks_(std::move(hooks)) {}
  ~TransferQueue();
  /// Where callers that wait are counted, until Close(). Once, before the first transfer.
  void CountWaitersIn(const Recorder::Seat& seat) { seat_ = &seat; }

  /// Starts `ops`, whose deadline is `batch.timeout` from now. Blocks: while kMaxInFlight others
  /// are in flight, which their deadlines bound.
  std::shared_ptr<Work> Start(std::vector<Op> ops, Op batch);
  /// A Work that ended with `error` before it began.
  std::shared_ptr<Work> Refuse(Op batch, base::Status error);

  /// Ends everything in flight with `reason`. Callbacks have run when it returns, unless it is
  /// called from one. Nothing moves afterwards.
  void Close(const base::Status& reason);

 private:
  friend class TransferWork;
  using Lock = std::unique_lock<std::mutex>;
  using Lane = std::pair<int, bool>;  // member; whether it receives
  struct Place {
    std::shared_ptr<TransferWork> work;
    size_t index;
  };

  void CountWaiters(int change) {
    if (seat_ != nullptr) seat_->AddWaiters(true, change);
  }
  /// Moves once all that can be moved. The lock is dropped meanwhile. Returns whether any moved.
  bool Pump(Lock& lock);
  void EndTransfer(TransferWork& work, size_t index, base::Status result);
  void EndWork(TransferWork& work);
  /// One step of who waits for transfers to end; `spins` counts the fruitless ones.
  void PumpOrWait(Lock& lock, int& spins, base::Duration at_most);
  void NudgeThread();
  void ThreadMain();
  void RunCallbacks(Lock& lock);
  base::Status Wait(TransferWork& work);
  base::Status WaitFor(TransferWork& work, base::Duration at_most);
  void OnComplete(TransferWork& work, Work::Callback callback);

  Backend& backend_;
  const Hooks hooks_;
  base::RealClock clock_;
  AwakeClock awake_{clock_};

  std::mutex mutex_;
  std::condition_variable changed_;  // a work ended, or nobody moves any more
  std::condition_variable thread_wake_;
  // Guarded by mutex_:
  std::map<Lane, std::deque<Place>> lanes_;
  std::map<Lane, base::OpSeq> next_seq_;
  std::vector<std::pair<Work::Callback, base::Status>> ready_callbacks_;
  size_t in_flight_ = 0;
  bool pumping_ = false;  // someone moves
  int waiting_ = 0;       // callers that move by themselves
  bool urgent_ = false;   // someone polls, or left a callback
  bool parked_ = false;   // the thread sleeps until told
  bool closed_ = false;
  const Recorder::Seat* seat_ = nullptr;  // null: nobody wants to know
  std::thread thread_;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_ENGINE_TRANSFER_QUEUE_H_
