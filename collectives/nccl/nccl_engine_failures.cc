// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// How a group of NcclEngine fails: what it hears, what it waits for too long, and what then ends.
#include <algorithm>
#include <utility>

#include "collectives/nccl/nccl_engine.h"

namespace lockstep::collectives {

void NcclEngine::Abort(const base::Status& reason) {
  const Lock lock(mutex_);
  if (!root_.ok()) return;
  const base::Status root =
      base::AbortedError("group " + config_.info.name + " was aborted: " + reason.ToString());
  board_->PostError({root, base::OpSeq(0)});
  FailLocked(root);
}

/// A call that this member refused is an op all the same: it fails in its turn, and the others with
/// it.
void NcclEngine::FailRefused() {
  if (!root_.ok() || collectives_.live.empty()) return;
  NcclPart& first = *collectives_.live.front();
  if (first.op.refusal.ok()) return;
  first.culprit = true;
  TellRefusal(first.op, first.op.refusal, first.seq);
  FailLocked(first.op.refusal);
}

void NcclEngine::TellRefusal(const Op& op, const base::Status& refusal, base::OpSeq seq) {
  const int self = config_.spec.rank.value();
  const base::Status told =
      base::FailedPreconditionError("rank " +
                                    config_.spec.world_ranks[static_cast<size_t>(self)].ToString() +
                                    " of group " + config_.info.name + " was refused its " +
                                    std::string(OpKindName(op.kind)) + ": " + refusal.ToString())
          .WithClass(base::FailureClass::kUsage);
  board_->PostError({Blaming(told, {self}), seq});
}

void NcclEngine::FailLocked(base::Status root) {
  root_ = std::move(root);
  failed_at_ = clock_.Now();
  StartAbort(collectives_);
  for (const auto& [_, route] : transfers_) StartAbort(*route);
  if (aborts_left_ == 0) EndAll("");
  ActivateLocked();
  changed_.notify_all();
}

/// NCCL's abort wants no thread in a call on the communicator; one that has nothing in flight is
/// left for later, since the abort of one rank alone can hang or crash its siblings.
void NcclEngine::StartAbort(Route& route) {
  if (route.issued == 0 || route.lane == nullptr || route.aborting) return;
  route.aborting = true;
  ++aborts_left_;
  const std::shared_ptr<NcclLane> lane = route.lane;
  const bool keep = route.peer < 0;  // for Shrink
  config_.runtime->Start("ending what is in flight of " + lane->communicator().config().name,
                         NcclRuntime::Limit::kAbort, [self = shared_from_this(), lane, keep] {
                           lane->Stop(keep);
                           const Lock lock(self->mutex_);
                           if (--self->aborts_left_ == 0) self->EndAll("");
                           self->changed_.notify_all();
                         });
}

/// `note`: what is to be known of the buffers.
void NcclEngine::EndAll(const std::string& note) {
  const base::SteadyTime now = clock_.Now();
  const auto end = [&](Route& route) {
    while (!route.live.empty()) {
      const NcclPart& part = *route.live.front();
      base::Status status = !part.op.refusal.ok() ? part.op.refusal
                            : part.culprit        ? root_
                                                  : FailedBefore();
      if (!note.empty()) status = status.WithFrame(note);
      Over(route, std::move(status), now);
    }
  };
  end(collectives_);
  for (const auto& [_, route] : transfers_) end(*route);
  changed_.notify_all();
}

void NcclEngine::Close() {
  Lock lock(mutex_);
  closed_ = true;
  board_->Leave();
  if (root_.ok() && AnyLive()) {
    FailLocked(base::AbortedError("group " + config_.info.name +
                                  " was destroyed on this rank before the op ended"));
  }
  const auto over = [this] {
    return !AnyLive() && aborts_left_ == 0 &&
           (running_callbacks_ == std::this_thread::get_id() ||
            (ready_callbacks_.empty() && running_callbacks_ == std::thread::id()));
  };
  // Longer than the limit: when it passes, the process ends.
  const base::Duration limit = config_.runtime->abort_limit();
  (void)changed_.wait_until(lock, clock_.Now() + limit + kGrace, over);
  std::vector<std::shared_ptr<NcclLane>> lanes = {collectives_.lane};
  for (const auto& [_, route] : transfers_) {
    if (route->lane != nullptr) lanes.push_back(route->lane);
  }
  const base::Duration patience = root_.ok() ? limit : base::Duration(0);
  lock.unlock();
  for (const auto& lane : lanes) {
    config_.runtime->Start("retiring " + lane->communicator().config().name,
                           NcclRuntime::Limit::kNone, [lane, patience] { lane->Retire(patience); });
  }
}

// ---------------------------------------------------------------------------------------- watching

void NcclEngine::Watch() {
  const Lock lock(mutex_);
  if (root_.ok()) HearOthers();
  if (root_.ok()) CheckDeadlines();
  if (root_.ok()) CheckLeavers();
  if (!root_.ok() && AnyLive() && clock_.Now() - failed_at_ >= kGrace) {
    EndAll(
        "the abort of its communicator has not ended, so that the GPU may still use the op's "
        "buffers");
  }
}

/// What another member has made the group's error: ops before that one may still end well.
void NcclEngine::HearOthers() {
  if (!root_.ok()) return;
  const std::optional<GroupBoard::Error> error = board_->error();
  if (!error.has_value()) return;
  const auto& live = collectives_.live;
  const base::OpSeq next = live.empty() ? collectives_.next_seq : live.front()->seq;
  const bool transfers_wait =
      std::any_of(transfers_.begin(), transfers_.end(),
                  [](const auto& entry) { return !entry.second->live.empty(); });
  if (next < error->seq && !transfers_wait) return;
  if (!live.empty()) live.front()->culprit = true;
  for (const auto& [_, route] : transfers_) {
    if (!route->live.empty()) route->live.front()->culprit = true;
  }
  FailLocked(error->status);
}

void NcclEngine::CheckDeadlines() {
  const AwakeTime now = awake_.Now();
  const bool any_long_phase = AnyLongPhase();
  const auto check = [&](Route& route) {
    for (const auto& part : route.live) {
      if (any_long_phase && Excused(NotCalled(route, part->seq))) {
        part->due = now + part->op.timeout;  // its time begins anew once they have come
        continue;
      }
      if (part->due > now) continue;
      const std::vector<int> missing = NotCalled(route, part->seq);
      part->culprit = true;
      const base::Status status = Expired(route, *part, missing);
      board_->PostError({status, base::OpSeq(0)});
      FailLocked(status);
      return;
    }
    RecordWaits(route);
  };
  check(collectives_);
  for (const auto& [_, route] : transfers_) {
    if (root_.ok()) check(*route);
  }
}

bool NcclEngine::AnyLongPhase() const {
  const base::SteadyTime now = clock_.Now();
  for (int member = 0; member < config_.info.size; ++member) {
    if (board_->LongPhase(member) > now) return true;
  }
  return false;
}

/// Whether all that an op waits for have said that they may be late.
bool NcclEngine::Excused(const std::vector<int>& missing) const {
  const base::SteadyTime now = clock_.Now();
  return !missing.empty() && std::all_of(missing.begin(), missing.end(), [&](int member) {
    return board_->LongPhase(member) > now;
  });
}

/// Members that have not come to op `seq` of `route`.
std::vector<int> NcclEngine::NotCalled(const Route& route, base::OpSeq seq) const {
  const int self = config_.spec.rank.value();
  if (route.peer >= 0) {
    const bool met =
        route.peer != self && route.board != nullptr && route.board->NeverCame().empty();
    const int end = route.receives ? 0 : 1;  // of the peer, on the route's board
    if (met && route.board->Called(end) >= seq) return {};
    return {route.peer};
  }
  std::vector<int> missing;
  for (int member = 0; member < config_.info.size; ++member) {
    if (member != self && board_->Called(member) < seq) missing.push_back(member);
  }
  return missing;
}

base::Status NcclEngine::Expired(const Route& route, const NcclPart& part,
                                 const std::vector<int>& missing) const {
  const Op& op = part.op;
  const auto world_rank = [this](int member) {
    return config_.spec.world_ranks[static_cast<size_t>(member)].ToString();
  };
  std::string text = DescribeOp(op.kind, op.dtype, op.reduction, op.peer, op.count) + " number " +
                     part.seq.ToString() + " of group " + config_.info.name + " ran out of its " +
                     base::FormatDuration(op.timeout) + ": ";
  if (route.peer >= 0) {
    text += "rank " + world_rank(route.peer) +
            (missing.empty()  ? " stopped in the middle of it"
             : route.receives ? " never sent it"
                              : " never received it");
  } else if (missing.empty()) {
    text +=
        "all members have called it and NCCL has not ended it: a member's GPU or network hangs, "
        "or its call differs";
  } else {
    text += "never called by rank";
    for (const int member : missing)
      text += (member == missing.front() ? " " : ", ") + world_rank(member);
  }
  const bool known = route.peer >= 0 || !missing.empty();
  const base::Status status = base::DeadlineExceededError(std::move(text))
                                  .WithClass(known ? base::FailureClass::kPeerStalled
                                                   : base::FailureClass::kTimeoutUnknown);
  return Blaming(status, route.peer >= 0 ? std::vector{route.peer} : missing);
}

/// Who has dropped the group will not come.
void NcclEngine::CheckLeavers() {
  const auto check = [&](Route& route) {
    if (route.live.empty() || (route.peer >= 0 && route.board == nullptr)) return;
    NcclPart& first = *route.live.front();
    for (const int member : NotCalled(route, first.seq)) {
      if (!board_->HasLeft(member)) continue;
      first.culprit = true;
      const base::Status status =
          base::UnavailableError("rank " +
                                 config_.spec.world_ranks[static_cast<size_t>(member)].ToString() +
                                 " has dropped group " + config_.info.name + " before op " +
                                 first.seq.ToString() + ", " +
                                 DescribeOp(first.op.kind, first.op.dtype, first.op.reduction,
                                            first.op.peer, first.op.count))
              .WithClass(base::FailureClass::kPeerDead);
      board_->PostError({Blaming(status, {member}), base::OpSeq(0)});
      return FailLocked(Blaming(status, {member}));
    }
  };
  check(collectives_);
  for (const auto& [_, route] : transfers_) {
    if (root_.ok()) check(*route);
  }
}

void NcclEngine::RecordWaits(const Route& route) {
  if (config_.recorder == nullptr || route.live.empty()) return;
  const NcclPart& first = *route.live.front();
  const std::vector<int> missing = NotCalled(route, first.seq);
  if (missing.empty()) return;
  config_.recorder->WaitsFor(first.record,
                             config_.spec.world_ranks[static_cast<size_t>(missing.front())]);
}

base::Status NcclEngine::Blaming(base::Status status, const std::vector<int>& members) const {
  for (const int member : members) status = status.WithSubject(board_->SubjectOf(member));
  return status;
}

}  // namespace lockstep::collectives
