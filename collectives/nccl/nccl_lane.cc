// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/nccl/nccl_lane.h"

#include <mutex>

#include "collectives/nccl/nccl_status.h"

namespace lockstep::collectives {
namespace {

// ncclCommGetAsyncError is a microsecond, and what it tells is seconds old already.
constexpr base::Duration kAsyncErrorEvery = std::chrono::milliseconds(10);

}  // namespace

void NcclLane::Advance(Owner& owner) {
  const std::unique_lock<std::mutex> lock(communicator_->call_mutex(), std::try_to_lock);
  if (!lock.owns_lock() || communicator_->comm() == nullptr || communicator_->revoked()) return;
  const CudaDeviceScope scope(libraries(), device());
  if (const base::Status status = CheckFlights(owner); !status.ok())
    return owner.OnBroken(status, flights_.empty() ? nullptr : flights_.front().part.get());
  // One at a time until NCCL says that it is on the stream.
  while (flights_.empty() || flights_.back().on_stream) {
    std::shared_ptr<NcclPart> next = owner.Next();
    if (next == nullptr) return;
    flights_.push_back({.part = std::move(next)});
    if (const base::Status status = Enqueue(flights_.back()); !status.ok())
      return owner.OnBroken(status, flights_.back().part.get());
  }
}

base::Status NcclLane::Enqueue(Flight& flight) {
  flight.start = runtime().TakeEvent(device());
  flight.end = runtime().TakeEvent(device());
  if (flight.start == nullptr || flight.end == nullptr) {
    return base::ResourceExhaustedError(Where(flight) + ": CUDA makes no more events on device " +
                                        std::to_string(device()));
  }
  const CudaFunctions& cuda = libraries().cuda();
  const CudaStream stream = communicator_->stream();
  const Op& op = flight.part->op;
  CudaResult prepared = kCudaSuccess;
  if (op.stream != nullptr) {  // `end` is free until the op is there
    prepared = cuda.event_record(flight.end, static_cast<CudaStream>(op.stream));
    if (prepared == kCudaSuccess) prepared = cuda.stream_wait_event(stream, flight.end, 0);
  }
  if (prepared == kCudaSuccess) prepared = cuda.event_record(flight.start, stream);
  if (prepared != kCudaSuccess)
    return CudaStatus(libraries(), prepared, Where(flight) + ": before NCCL's call");
  const NcclEnd end{.libraries = libraries(),
                    .comm = communicator_->comm(),
                    .stream = stream,
                    .rank = communicator_->config().rank,
                    .size = communicator_->config().size,
                    .scratch = communicator_->scratch()};
  const NcclResult result = EnqueueOp(end, op, flight.leftover);
  if (result == kNcclInProgress) return base::OkStatus();
  return result == kNcclSuccess ? Settle(flight) : Error(flight, result);
}

/// NCCL has put it on the stream: only now may anything else be put there.
base::Status NcclLane::Settle(Flight& flight) {
  flight.on_stream = true;
  if (flight.leftover.has_reduction) {
    (void)libraries().nccl().red_op_destroy(flight.leftover.reduction, communicator_->comm());
    flight.leftover.has_reduction = false;
  }
  const CudaResult result = libraries().cuda().event_record(flight.end, communicator_->stream());
  if (result == kCudaSuccess) return base::OkStatus();
  return CudaStatus(libraries(), result, Where(flight) + ": recording its end");
}

base::Status NcclLane::CheckFlights(Owner& owner) {
  if (flights_.empty()) return base::OkStatus();
  if (Flight& last = flights_.back(); !last.on_stream) {
    const NcclResult state = communicator_->Poll();
    if (state == kNcclSuccess) {
      RETURN_IF_ERROR(Settle(last));
    } else if (state != kNcclInProgress) {
      return Error(last, state);
    }
  }
  while (!flights_.empty()) {
    Flight& flight = flights_.front();
    const CudaFunctions& cuda = libraries().cuda();
    const CudaResult ended = flight.on_stream ? cuda.event_query(flight.end) : kCudaNotReady;
    if (ended != kCudaSuccess && ended != kCudaNotReady)
      return CudaStatus(libraries(), ended, Where(flight));
    if (!flight.started &&
        (ended == kCudaSuccess || cuda.event_query(flight.start) == kCudaSuccess)) {
      flight.started = true;
      owner.OnStarted(*flight.part, base::RealClock().Now());
    }
    if (ended == kCudaNotReady) break;
    const std::shared_ptr<NcclPart> part = std::move(flight.part);
    runtime().GiveEvent(device(), flight.start);
    runtime().GiveEvent(device(), flight.end);
    flights_.pop_front();
    owner.OnEnded(*part, base::RealClock().Now());
  }
  if (flights_.empty() || !flights_.back().on_stream) return base::OkStatus();
  return CheckAsyncError();
}

base::Status NcclLane::CheckAsyncError() {
  const base::SteadyTime now = base::RealClock().Now();
  if (now - checked_ < kAsyncErrorEvery) return base::OkStatus();
  checked_ = now;
  const NcclResult state = communicator_->Poll();
  if (state == kNcclSuccess || state == kNcclInProgress) return base::OkStatus();
  return Error(flights_.front(), state);
}

std::string NcclLane::Where(const Flight& flight) const {
  const Op& op = flight.part->op;
  return DescribeOp(op.kind, op.dtype, op.reduction, op.peer, op.count) + " number " +
         flight.part->seq.ToString() + " in " + communicator_->config().name;
}

base::Status NcclLane::Error(const Flight& flight, NcclResult result) const {
  return NcclStatus(libraries(), result, Where(flight), communicator_->comm());
}

void NcclLane::Stop(bool keep) {
  const bool revoke = keep && libraries().nccl().comm_revoke != nullptr;
  if (!revoke || !communicator_->Revoke().ok()) communicator_->Abort();
  const std::lock_guard<std::mutex> lock(communicator_->call_mutex());
  DropFlights();
}

void NcclLane::Retire(base::Duration patience) {
  communicator_->Retire(patience);
  const std::lock_guard<std::mutex> lock(communicator_->call_mutex());
  DropFlights();
}

/// With the lock held, of ops that are no more.
void NcclLane::DropFlights() {
  for (const Flight& flight : flights_) {
    runtime().GiveEvent(device(), flight.start);
    runtime().GiveEvent(device(), flight.end);
  }
  flights_.clear();
}

}  // namespace lockstep::collectives
