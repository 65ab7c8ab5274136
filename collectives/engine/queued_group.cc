// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/engine/queued_group.h"

#include <algorithm>
#include <utility>

#include "collectives/engine/alone_backend.h"
#include "collectives/engine/joining.h"
#include "collectives/engine/make_in_round.h"
#include "collectives/engine/op_record.h"
#include "collectives/engine/own_deadline.h"

namespace lockstep::collectives {

base::Result<std::unique_ptr<QueuedGroup>> QueuedGroup::Create(
    Config config, std::shared_ptr<BackendMaker> maker) {
  const OwnDeadline own(config.join_timeout);
  return Create(std::move(config), std::move(maker), own.deadline);
}

base::Result<std::unique_ptr<QueuedGroup>> QueuedGroup::Create(Config config,
                                                               std::shared_ptr<BackendMaker> maker,
                                                               const OpDeadline& deadline) {
  const GroupSpec& spec = config.spec;
  const int size = static_cast<int>(spec.world_ranks.size());
  if (size < 1 || spec.rank.value() < 0 || spec.rank.value() >= size) {
    return base::InvalidArgumentError("making group " + spec.name + ": rank " +
                                      spec.rank.ToString() + " of " + std::to_string(size) +
                                      " members");
  }
  GroupSpec as_begun = spec;
  if (config.rounds != nullptr) as_begun.epoch = config.rounds->current();
  Joining joining(config.recorder.get(), as_begun, config.join_timeout);
  std::unique_ptr<Backend> backend;
  if (size == 1) {
    if (config.rounds != nullptr) config.spec.epoch = config.rounds->current();
    backend = std::make_unique<AloneBackend>(spec.name);
  } else {
    ASSIGN_OR_RETURN(backend, MakeInRound(config.spec, *maker, config.rounds.get(), deadline));
  }
  Recorder::Seat seat = joining.End(config.spec);
  if (config.derived == nullptr) config.derived = std::make_shared<DerivedSpecs>();
  std::unique_ptr<QueuedGroup> group(
      new QueuedGroup(std::move(config), std::move(seat), std::move(backend), std::move(maker)));
  group->FollowRounds();
  return group;
}

/// Of a member that was killed nothing is seen in the memory that it shared: the agent's word ends
/// the ops that wait for it.
void QueuedGroup::FollowRounds() {
  if (config_.rounds == nullptr || info_.size == 1) return;
  following_ =
      config_.rounds->Subscribe([this](base::Round round, const std::vector<Rounds::Gone>& all) {
        std::vector<Rounds::Gone> gone;
        std::vector<int> members;
        for (const Rounds::Gone& one : all) {
          const auto place =
              std::find(info_.world_ranks.begin(), info_.world_ranks.end(), one.rank);
          if (place == info_.world_ranks.end()) continue;
          gone.push_back(one);
          members.push_back(static_cast<int>(place - info_.world_ranks.begin()));
        }
        if (gone.empty()) return;
        const std::string doing = "group " + info_.name + " has lost members, and round " +
                                  round.ToString() + " goes on without them";
        (void)backend_->Fail(GoneError(doing, config_.spec.job, gone), members);
      });
}

QueuedGroup::QueuedGroup(Config config, Recorder::Seat seat, std::unique_ptr<Backend> backend,
                         std::shared_ptr<BackendMaker> maker)
    : config_(std::move(config)),
      seat_(std::move(seat)),
      info_(InfoOf(config_.spec, backend->capabilities().backend)),
      timeout_ns_(config_.timeout.count()),
      maker_(std::move(maker)),
      backend_(std::move(backend)) {
  lockstep_fork_guard_init(&guard_);
  Recorder* const recorder = config_.recorder.get();
  queue_ = std::make_shared<OpQueue>(
      [this](QueuedWork& work, const OpDeadline& deadline) { return Execute(work, deadline); },
      [this, recorder](QueuedWork& work, const base::Status& status, base::SteadyTime now) {
        if (recorder == nullptr) return;
        const size_t bytes =
            InCount(work.op(), info_.rank.value(), info_.size) * DtypeBytes(work.op().dtype);
        recorder->Ended(work.record, RecordStateOf(StateOf(status)), status.ok() ? bytes : 0, now);
      },
      info_.size == 1);
  queue_->CountWaitersIn(seat_);
  TransferQueue::Hooks hooks;
  hooks.begin = [this, recorder](const Moving& moving, base::SteadyTime enqueued) {
    return recorder == nullptr ? Recorder::Ticket() : Record(moving.op, moving.seq, enqueued);
  };
  hooks.end = [this, recorder](const Recorder::Ticket& record, const Moving& moving,
                               base::SteadyTime now) {
    if (!moving.result.ok()) Remember(moving.result);
    if (recorder == nullptr) return;
    recorder->Ended(record, RecordStateOf(StateOf(moving.result)), moving.moved, now);
  };
  hooks.expire = [this](const Moving& moving) { return Expired(moving); };
  transfers_ = std::make_shared<TransferQueue>(*backend_, std::move(hooks));
  transfers_->CountWaitersIn(seat_);
}

QueuedGroup::~QueuedGroup() {
  if (!owner()) {
    // A forked child: the parent's group, threads and locks are not ours to end. What is private to
    // us leaks, by intent.
    if (following_ != nullptr) following_->Abandon();
    (void)new std::shared_ptr<Rounds>(config_.rounds);
    (void)backend_.release();
    (void)new std::shared_ptr<OpQueue>(std::move(queue_));
    (void)new std::shared_ptr<TransferQueue>(std::move(transfers_));
    (void)new std::shared_ptr<BackendMaker>(std::move(maker_));
    return;
  }
  following_.reset();
  backend_->Interrupt();
  const base::Status reason =
      base::AbortedError("group " + info_.name + " was destroyed on this rank before the op ended");
  transfers_->Close(reason);
  queue_->Close(reason);
  lockstep_fork_guard_free(&guard_);
}

base::Status QueuedGroup::ForkedError() const {
  return base::FailedPreconditionError(
      "a collective of group " + info_.name + " was called in a forked child of rank " +
      info_.world_ranks[static_cast<size_t>(info_.rank.value())].ToString() +
      "; only the rank itself may call it");
}

Recorder::Ticket QueuedGroup::Record(const Op& op, base::OpSeq seq, base::SteadyTime enqueued) {
  return BeginRecord(*config_.recorder, info_, op, seq, enqueued);
}

std::shared_ptr<Work> QueuedGroup::Submit(Op&& op, base::Status valid) {
  if (!owner()) {
    // The parent's queue may be locked for ever in this copy of its memory: a queue of its own
    // carries the answer.
    return std::make_shared<OpQueue>(nullptr, nullptr, true)->Refuse(std::move(op), ForkedError());
  }
  op.refusal = std::move(valid);
  std::shared_ptr<QueuedWork> work = queue_->MakeWork(std::move(op));
  if (config_.recorder != nullptr) work->record = Record(work->op(), work->seq(), work->enqueued());
  queue_->Enqueue(work);
  return work;
}

base::Status QueuedGroup::Execute(QueuedWork& work, const OpDeadline& deadline) {
  Recorder* const recorder = config_.recorder.get();
  OpWatch watch{.deadline = deadline};
  if (recorder != nullptr) {
    recorder->Started(work.record, work.started());
    // Two words, which std::function keeps without a piece of memory of its own.
    watch.on_long_wait = [this, &work](int member) {
      config_.recorder->WaitsFor(work.record, info_.world_ranks[static_cast<size_t>(member)]);
    };
  }
  base::Status status = backend_->Run(work.op(), work.seq(), watch);
  if (!status.ok()) {
    Remember(status);
  } else if (!has_served_.load(std::memory_order_relaxed)) {
    has_served_.store(true, std::memory_order_relaxed);
  }
  return status;
}

void QueuedGroup::Remember(const base::Status& failure) {
  const std::lock_guard<std::mutex> lock(failure_mutex_);
  if (failure_.ok()) failure_ = failure.root();
}

std::shared_ptr<Work> QueuedGroup::SubmitTransfers(std::vector<Op> transfers, Op batch,
                                                   base::Status valid) {
  if (!owner()) {
    return std::make_shared<OpQueue>(nullptr, nullptr, true)
        ->Refuse(std::move(batch), ForkedError());
  }
  if (!valid.ok()) {
    const base::Status failed = backend_->Fail(valid, {info_.rank.value()});
    return transfers_->Refuse(std::move(batch), valid.ok() ? failed : valid);
  }
  return transfers_->Start(std::move(transfers), std::move(batch));
}

base::Status QueuedGroup::Expired(const Moving& moving) {
  const Op& op = moving.op;
  const base::Rank peer = info_.world_ranks[static_cast<size_t>(op.peer)];
  return backend_->Fail(
      base::DeadlineExceededError(
          DescribeOp(op.kind, op.dtype, Reduction::kNone, op.peer, op.count) + " number " +
          moving.seq.ToString() + " of group " + info_.name + " ran out of its " +
          base::FormatDuration(op.timeout) + ": rank " + peer.ToString() +
          (moving.begun               ? " stopped in the middle of it"
           : op.kind == OpKind::kSend ? " never received it"
                                      : " never sent it"))
          .WithClass(base::FailureClass::kPeerStalled),
      {op.peer});
}

base::Result<std::shared_ptr<SharedBuffer>> QueuedGroup::AllocBuffer(size_t bytes,
                                                                     OpOptions options) {
  const base::Duration timeout = options.timeout.count() > 0 ? options.timeout : this->timeout();
  OwnDeadline own(timeout);
  if (capabilities().Has(OpKind::kAllocate)) {  // on all members, or on none
    const int32_t mine[] = {ComesLate()};
    std::vector<int32_t> all(static_cast<size_t>(info_.size));
    OpOptions telling;
    telling.timeout = timeout;
    telling.tag = options.tag;
    telling.call_site = options.call_site;
    RETURN_IF_ERROR(GatherNumbers(mine, all, std::move(telling), own));
    if (std::count(all.begin(), all.end(), 1) > 0) own.BeginAnew();
  }
  // In its place among the collectives, and with the sizes compared: an op of that many bytes.
  Op op;
  op.kind = OpKind::kAllocate;
  op.count = bytes;
  op.timeout = std::max(own.deadline.Left(), base::Duration(0));
  op.call_file = options.call_site.file;
  op.call_line = options.call_site.line;
  op.tag = std::move(options.tag);
  base::Status valid = capabilities().Check(op.kind, Dtype::kU8, Reduction::kNone);
  if (valid.ok()) valid = CheckStream(op.kind, options);
  RETURN_IF_ERROR(own.Await(*Submit(std::move(op), std::move(valid))));
  return backend_->AllocBuffer(bytes, own.deadline);
}

base::Result<std::shared_ptr<Group>> QueuedGroup::Derive(Derivation derivation,
                                                         const OpDeadline& deadline) {
  if (!owner()) return ForkedError();
  if (derivation.world_ranks.empty()) return std::shared_ptr<Group>();  // of no color
  if (derivation.kind == OpKind::kShrink && config_.rounds != nullptr)
    return DeriveWithout(std::move(derivation), deadline);
  return Make(std::move(derivation), deadline);
}

base::Result<std::shared_ptr<Group>> QueuedGroup::Make(Derivation derivation,
                                                       const OpDeadline& deadline, int repairs) {
  if (maker_ == nullptr && derivation.world_ranks.size() > 1) {
    return base::FailedPreconditionError("group " + info_.name +
                                         " was made alone and knows no way to others");
  }
  Config config = config_;
  config.repairs = repairs;
  config.timeout = timeout();
  config.spec = config.derived->Next(config_.spec, derivation.kind, std::move(derivation.name),
                                     std::move(derivation.world_ranks));
  ASSIGN_OR_RETURN(std::unique_ptr<QueuedGroup> made, Create(std::move(config), maker_, deadline));
  return std::shared_ptr<Group>(std::move(made));
}

void QueuedGroup::DeclareLongPhase(base::Duration at_most) {
  if (!owner()) return;
  backend_->DeclareLongPhase(at_most);
  if (config_.recorder == nullptr) return;
  const bool begins = at_most.count() > 0;
  config_.recorder->SetPhase(
      begins ? "long phase" : "",
      begins ? base::RealClock().Now() + std::min(at_most, kMaxTimeout) : base::SteadyTime());
}

void QueuedGroup::Abort(base::Status reason) {
  if (owner()) backend_->Poison(reason);
}

}  // namespace lockstep::collectives
