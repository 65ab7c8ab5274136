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
  for (const auto& [_, route] : transfers_) {
    if (route->board != nullptr) route->board->Leave();
  }
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
  if (root_.ok()) BlameBroken();
  if (root_.ok()) AskOthers();
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

/// NCCL has lost a member: whose process is gone, the board says.
void NcclEngine::BlameBroken() {
  if (broken_.ok()) return;
  if (!Knows(collectives_, broken_since_)) return;
  // Only what was found out since: a member that was lost before may be back.
  const std::vector<int> lost = Lost(collectives_, broken_since_);
  std::string text = broken_.message();
  for (const int member : lost) {
    text += "; rank " + config_.spec.world_ranks[static_cast<size_t>(member)].ToString() + " " +
            WhyLost(collectives_, member, broken_since_).value_or("is gone");
  }
  const base::Status status = Blaming(
      base::Status(broken_.code(), std::move(text)).WithClass(broken_.failure_class()), lost);
  board_->PostError({status, base::OpSeq(0)});
  FailLocked(status);
}

/// What waits for long wants to know for whom.
void NcclEngine::AskOthers() {
  const base::SteadyTime now = clock_.Now();
  const auto ask = [&](Route& route) {
    if (route.live.empty()) return;
    if (route.first_since == base::SteadyTime()) route.first_since = now;
    if (now - route.first_since >= kAskAfter) (void)Knows(route, now - kAskEvery);
  };
  ask(collectives_);
  for (const auto& [_, route] : transfers_) ask(*route);
}

void NcclEngine::CheckDeadlines() {
  const bool any_long_phase = AnyLongPhase();
  CheckDeadlines(collectives_, any_long_phase);
  for (const auto& [_, route] : transfers_) {
    if (root_.ok()) CheckDeadlines(*route, any_long_phase);
  }
}

void NcclEngine::CheckDeadlines(Route& route, bool any_long_phase) {
  const AwakeTime now = awake_.Now();
  for (const auto& part : route.live) {
    if (any_long_phase && Excused(NotCalled(route, part->seq))) {
      part->due = now + part->op.timeout;  // its time begins anew once they have come
      part->overdue_since = {};
      continue;
    }
    if (part->due > now) continue;
    if (part->overdue_since == base::SteadyTime()) part->overdue_since = clock_.Now();
    if (!Knows(route, part->overdue_since)) return;
    std::vector<int> missing = NotCalled(route, part->seq);
    if (Excused(missing)) return;  // as they have just said: the next look
    std::erase_if(missing, [this](int member) { return Excused({member}); });
    // Of a large group, others know more, and say it.
    const bool may_hear = clock_.Now() - part->overdue_since < GroupBoard::kAnswerTime;
    if (missing.empty() && may_hear && Unknown(route) > 0) return;
    part->culprit = true;
    const base::Status status = Expired(route, *part, missing);
    board_->PostError({status, base::OpSeq(0)});
    FailLocked(status);
    return;
  }
  RecordWaits(route);
}

void NcclEngine::CheckLeavers() {
  CheckLeavers(collectives_);
  for (const auto& [_, route] : transfers_) {
    if (root_.ok()) CheckLeavers(*route);
  }
}

/// Who has dropped the group, or has died, will not come. But what it did before may have been
/// heard of later than its end.
void NcclEngine::CheckLeavers(Route& route) {
  if (route.live.empty() || (route.peer >= 0 && route.board == nullptr)) return;
  NcclPart& first = *route.live.front();
  if (GoneBefore(route, first.seq, {}) < 0) {
    route.gone_since = {};
    return;
  }
  if (route.gone_since == base::SteadyTime()) route.gone_since = clock_.Now();
  if (!Knows(route, route.gone_since)) return;
  const int member = GoneBefore(route, first.seq, route.gone_since);
  if (member < 0) return;
  // Of the dead nobody knows what they called last: what is on its way from them still comes.
  const bool died = !HasLeft(route, member);
  if (died && clock_.Now() - route.gone_since < GroupBoard::kAnswerTime) return;
  first.culprit = true;
  const base::Status status = Blaming(Left(route, member, first), {member});
  board_->PostError({status, base::OpSeq(0)});
  FailLocked(status);
}

}  // namespace lockstep::collectives
