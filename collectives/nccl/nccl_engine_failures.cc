// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// How a group of NcclEngine fails: what it hears, what it waits for too long, and what then ends.
#include <algorithm>
#include <cstring>
#include <utility>

#include "collectives/engine/call_check.h"
#include "collectives/nccl/nccl_engine.h"

namespace lockstep::collectives {
namespace {

std::string PlaceOf(const Op& op) {
  char text[kErrorCallSiteBytes];
  FormatCallSite(op.call_file, op.call_line, text, sizeof text);
  return text;
}

}  // namespace

void NcclEngine::Abort(const base::Status& reason) {
  const Lock lock(mutex_);
  if (!root_.ok()) return;
  const base::Rank self = config_.spec.world_ranks[static_cast<size_t>(config_.spec.rank.value())];
  Fail(base::AbortedError("group " + config_.info.name + " was aborted by rank " + self.ToString() +
                          ": " + reason.ToString())
           .WithClass(reason.failure_class()),
       nullptr);
}

/// A call that this member refused is an op all the same: it fails in its turn, and the others with
/// it.
void NcclEngine::FailRefused() {
  if (!root_.ok() || collectives_.live.empty()) return;
  NcclPart& first = *collectives_.live.front();
  const Op& op = first.op;
  if (op.refusal.ok()) return;
  Fail(RefusalOf(op,
                 DescribeOp(op.kind, op.dtype, op.reduction, op.peer, op.count) + ", op " +
                     first.seq.ToString() + " of group " + config_.info.name + ",",
                 op.refusal),
       &first);
}

/// As the others hear of it; where there are none it is itself what later ops fail for.
base::Status NcclEngine::RefusalOf(const Op& op, const std::string& which,
                                   const base::Status& refusal) const {
  if (config_.info.size == 1) return refusal;
  base::Subject subject = board_->SubjectOf(config_.spec.rank.value());
  subject.call_site = PlaceOf(op);
  return base::FailedPreconditionError(which + " was refused on rank " + subject.rank->ToString() +
                                       ": " + refusal.message())
      .WithClass(base::FailureClass::kUsage)
      .WithSubject(std::move(subject));
}

/// Makes `error` the group's on all members, unless another was first: that one is then this
/// member's, too. `about`: the op that it ends; may be null.
void NcclEngine::Fail(const base::Status& error, NcclPart* about) {
  if (about != nullptr) about->culprit = true;
  const ErrorRecord mine = RecordOf(error, about);
  board_->PostError(mine);
  FailLocked(StatusOf(board_->error().value_or(mine)));
}

/// The ops before the first that is in flight have ended here, and so may end well everywhere.
ErrorRecord NcclEngine::RecordOf(const base::Status& error, const NcclPart* about) const {
  ErrorRecord record{.code = error.code(),
                     .failure_class = error.failure_class(),
                     .from_seq = FirstLive().value(),
                     .message = error.message()};
  const bool collective =
      about != nullptr && about->op.kind != OpKind::kSend && about->op.kind != OpKind::kRecv;
  if (collective) record.SetOp(about->op, about->seq.value());
  const auto& ranks = config_.spec.world_ranks;
  for (const base::Subject& subject : error.subjects()) {
    const auto found = std::find(ranks.begin(), ranks.end(), subject.rank);
    if (found == ranks.end()) continue;
    const int member = static_cast<int>(found - ranks.begin());
    const bool ask = collective && subject.call_site.empty();
    record.blamed.push_back({member, ask ? CallSiteOf(member, *about) : subject.call_site});
  }
  return record;
}

/// Where `member` has called the collective `part`, as far as it is known here.
std::string NcclEngine::CallSiteOf(int member, const NcclPart& part) const {
  if (member == config_.spec.rank.value()) return PlaceOf(part.op);
  const std::optional<CallCard> card =
      config_.check_calls ? board_->Card(member, part.seq) : std::nullopt;
  if (!card.has_value()) return "";
  return std::string(card->call_site, strnlen(card->call_site, sizeof card->call_site));
}

base::Status NcclEngine::StatusOf(const ErrorRecord& record) const {
  return collectives::StatusOf(record, config_.info.id, config_.info.epoch,
                               [this](int member) { return board_->SubjectOf(member); });
}

void NcclEngine::FailLocked(base::Status root) {
  root_ = std::move(root);
  failed_at_ = clock_.Now();
  const auto end = [this](Route& route) {
    if (!route.live.empty()) route.live.front()->culprit = true;
    StartAbort(route);
  };
  end(collectives_);
  for (const auto& [_, route] : transfers_) end(*route);
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
      const bool has_root = part.culprit || (route.peer < 0 && IsRoot(part.seq));
      base::Status status = !part.op.refusal.ok() ? part.op.refusal
                            : has_root            ? root_
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
  const auto leave = [](GroupBoard& board, const Route& route) {
    // What is in flight here is aborted: who waits for it learns that this member never did it.
    if (!route.live.empty()) board.PostCalled(base::OpSeq(route.live.front()->seq.value() - 1));
    board.Leave();
  };
  leave(*board_, collectives_);
  for (const auto& [_, route] : transfers_) {
    if (route->board != nullptr) leave(*route->board, *route);
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

/// What another member has made the group's error.
void NcclEngine::HearOthers() {
  if (!root_.ok()) return;
  const std::optional<ErrorRecord> error = board_->error();
  if (!error.has_value()) return;
  if (heard_at_ == base::SteadyTime()) heard_at_ = clock_.Now();
  if (!MayEndWell(*error)) FailLocked(StatusOf(*error));
}

/// Whether there is time for collectives before those that `error` concerns, which have ended on
/// the member that has it.
bool NcclEngine::MayEndWell(const ErrorRecord& error) {
  if (FirstLive().value() >= error.from_seq) return false;
  const base::SteadyTime now = clock_.Now();
  if (collectives_.live.empty()) return !AnyTransferLive() || now - heard_at_ < kEndTime;
  // Since when it is the first, Watch() notes (AskOthers).
  const base::SteadyTime since = collectives_.first_since;
  return since == base::SteadyTime() || now - std::max(heard_at_, since) < kEndTime;
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
  Fail(Blaming(base::Status(broken_.code(), std::move(text)).WithClass(broken_.failure_class()),
               lost),
       nullptr);
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
    return Fail(Expired(route, *part, missing), part.get());
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
  Fail(Blaming(Left(route, member, first), {member}), &first);
}

}  // namespace lockstep::collectives
