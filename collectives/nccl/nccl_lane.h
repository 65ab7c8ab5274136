// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_NCCL_NCCL_LANE_H_
#define LOCKSTEP_COLLECTIVES_NCCL_NCCL_LANE_H_

#include <deque>
#include <memory>
#include <string>
#include <utility>

#include "collectives/awake_clock.h"
#include "collectives/engine/op.h"
#include "collectives/nccl/communicator.h"
#include "collectives/nccl/nccl_calls.h"
#include "collectives/recorder/recorder.h"
#include "runtime/base/clock.h"
#include "runtime/base/status.h"

namespace lockstep::collectives {

class NcclWork;

/// One collective, or one send or receive, of a NcclWork. Of the engine, under its mutex, but for
/// the constants.
struct NcclPart {
  Op op;            // constant
  base::OpSeq seq;  // constant
  std::shared_ptr<NcclWork> work;
  AwakeTime due{};                   // moves while the op waits for members in a long phase alone
  base::SteadyTime overdue_since{};  // it waits beyond that for what the others say; zero: not now
  Recorder::Ticket record;
  bool has_started = false;
  bool over = false;
  bool culprit = false;            // ends with the group's error itself
  std::shared_ptr<NcclPart> twin;  // the receive that a send to oneself meets
};

/// A communicator's stream with the ops that are on it, between two CUDA events each. Ops begin and
/// end in their order. Shared by its route and by the threads that abort it. Thread-safe: who finds
/// another thread in it leaves at once, since that one does the work.
class NcclLane {
 public:
  /// Whose ops these are. Called with the lane's lock held; outlives every Advance().
  class Owner {
   public:
    virtual ~Owner() = default;
    /// The next op to be put on the stream; null when there is none now.
    virtual std::shared_ptr<NcclPart> Next() = 0;
    virtual void OnStarted(NcclPart& part, base::SteadyTime now) = 0;
    virtual void OnEnded(NcclPart& part, base::SteadyTime now) = 0;
    /// The communicator is good for nothing any more. `part`: in whose call; may be null.
    virtual void OnBroken(const base::Status& status, NcclPart* part) = 0;
  };

  explicit NcclLane(std::shared_ptr<Communicator> communicator)
      : communicator_(std::move(communicator)) {}

  Communicator& communicator() const { return *communicator_; }
  const std::shared_ptr<Communicator>& shared_communicator() const { return communicator_; }

  /// Tells `owner` what has begun and ended, and puts on the stream what can be put. Does not wait.
  void Advance(Owner& owner);
  /// Ends what is on the stream, for good; `keep`: by a revocation, if NCCL can. Blocks as
  /// Communicator::Abort().
  void Stop(bool keep);
  /// Of a lane without ops in flight. Blocks as Communicator::Retire().
  void Retire(base::Duration patience);

 private:
  struct Flight {
    std::shared_ptr<NcclPart> part;
    CudaEvent start = nullptr;
    CudaEvent end = nullptr;
    bool on_stream = false;  // NCCL has said so, and `end` is behind it
    bool started = false;
    NcclLeftover leftover;
  };

  const GpuLibraries& libraries() const { return runtime().libraries(); }
  NcclRuntime& runtime() const { return *communicator_->config().runtime; }
  int device() const { return communicator_->config().device; }

  base::Status Settle(Flight& flight);
  base::Status Enqueue(Flight& flight);
  base::Status CheckFlights(Owner& owner);
  base::Status CheckAsyncError();
  std::string Where(const Flight& flight) const;
  base::Status Error(const Flight& flight, NcclResult result) const;
  void DropFlights();

  const std::shared_ptr<Communicator> communicator_;
  // Guarded by the communicator's call_mutex():
  std::deque<Flight> flights_;
  base::SteadyTime checked_{};  // for an async error
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_NCCL_NCCL_LANE_H_
